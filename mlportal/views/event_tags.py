"""What an event says, for templates of the apps, which know nothing of the feed."""

from django import template

from mlportal.views import activity

register = template.Library()


@register.filter
def event_words(verb: str) -> str:
    """Say what was done: ``{{ event.verb|event_words }}``."""
    return activity.words_of(verb)
