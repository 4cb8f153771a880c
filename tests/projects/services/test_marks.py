"""Stars and comments: services, pages and API."""

import json

import pytest
from django.test import Client
from django.urls import reverse

from experiments.services import saved_views
from mlportal.lib.errors import Conflict, Forbidden, Invalid, Missing
from mlportal.views import waiting
from projects.models import Channel, Comment, Delivery, Event, EventDelivery, Mention, Star
from projects.permissions import Permission
from projects.services import checks, comments, deliveries, stars, targets
from tests.factories.datasets import profiled
from tests.factories.experiments import make_experiment, make_run
from tests.factories.projects import actor, make_project, make_token, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture
def project():
    return make_project()


@pytest.fixture
def ana(project):
    return make_user("ana", role="scientist", project=project)


@pytest.fixture
def run(project):
    return make_run(make_experiment(project))


def on(user, run):
    return targets.find(actor(user), project=run.project, kind="run", number=run.pk)


def test_a_star_is_ones_own_and_set_once(project, ana, run):
    other = make_user("tom", role="viewer", project=project)
    assert stars.put(actor(ana), project=project, target=on(ana, run))
    assert not stars.put(actor(ana), project=project, target=on(ana, run))
    assert stars.put(actor(other), project=project, target=on(other, run))
    assert stars.numbers(ana, "run") == {run.pk}
    assert [t.label for t in stars.listed(actor(ana))] == [f"run {run.pk}, first"]
    assert stars.put(actor(ana), project=project, target=on(ana, run), starred=False)
    assert (stars.numbers(ana, "run"), stars.numbers(other, "run")) == (set(), {run.pk})
    assert list(Event.objects.filter(verb__startswith="star.").values_list("verb", flat=True).order_by("seq")) == [
        "star.added", "star.added", "star.removed",
    ]  # fmt: skip


def test_stars_have_a_limit(project, ana, run, monkeypatch):
    monkeypatch.setattr(stars, "MOST", 0)
    with pytest.raises(Conflict, match="You have 0 stars"):
        stars.put(actor(ana), project=project, target=on(ana, run))


def test_things_of_other_projects_are_missing(ana, run):
    elsewhere = make_project("other")
    make_user("tom", role="scientist", project=elsewhere)
    foreign = make_run(make_experiment(elsewhere))
    with pytest.raises(Missing):
        targets.find(actor(ana), project=run.project, kind="run", number=foreign.pk)
    with pytest.raises(Invalid, match="There is no type 'planet'"):
        targets.find(actor(ana), project=run.project, kind="planet", number=1)


@pytest.mark.parametrize(
    ("text", "called"),
    [
        ("look, @tom", ["tom"]),
        ("@Tom and @tom.", ["tom"]),
        ("mail ana@tom.org or `@tom` or\n```\n@tom\n```", []),
        ("(@mei.li) @a-b, @unknown", ["mei.li", "a-b", "unknown"]),
        ("@@tom @", []),
    ],
)
def test_who_is_mentioned(text, called):
    assert comments.mentioned(text) == called


def test_a_comment_calls_members_into_their_inbox(project, ana, run):
    tom = make_user("tom", role="viewer", project=project)
    make_user("eve")
    made = comments.add(actor(ana), project=project, target=on(ana, run), text="@tom @eve @ana see **this**")
    assert list(Mention.objects.values_list("user__username", flat=True)) == ["tom"]
    items = waiting.for_person(actor(tom))
    assert [(i.title, i.href) for i in items] == [
        (f"ana mentioned you on run {run.pk}, first", f"/p/churn/comments/{made.pk}/")
    ]
    assert waiting.count(actor(tom)) == 1
    client = Client()
    client.force_login(tom)
    answer = client.get(f"/p/churn/comments/{made.pk}/")
    assert (answer.status_code, answer["Location"]) == (303, f"/p/churn/runs/{run.pk}/#comment-{made.pk}")
    assert waiting.for_person(actor(tom)) == []


def test_the_inbox_asks_as_often_for_three_mentions_as_for_one(project, ana, run, django_assert_max_num_queries):
    tom = make_user("tom", role="viewer", project=project)
    comments.add(actor(ana), project=project, target=on(ana, run), text="@tom 1")
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    with CaptureQueriesContext(connection) as one:
        assert len(waiting.for_person(actor(tom))) == 1
    for n in range(2):
        comments.add(actor(ana), project=project, target=on(ana, make_run(run.experiment)), text=f"@tom {n}")
    with CaptureQueriesContext(connection) as three:
        assert len(waiting.for_person(actor(tom))) == 3
    assert len(three) == len(one)


def test_only_the_author_changes_a_comment(project, ana, run):
    tom = make_user("tom", role="scientist", project=project)
    made = comments.add(actor(ana), project=project, target=on(ana, run), text="first")
    for refused in (
        lambda: comments.edit(actor(tom), comment=made, text="mine"),
        lambda: comments.delete(actor(tom), comment=made),
    ):
        with pytest.raises(Forbidden, match="Only the author"):
            refused()
    assert comments.edit(actor(ana), comment=made, text="second @tom").edited_at is not None
    assert waiting.count(actor(tom)) == 1
    comments.delete(actor(ana), comment=made)
    assert (comments.listed("run", run.pk), waiting.count(actor(tom))) == ([], 0)
    assert Comment.objects.get().text == ""
    with pytest.raises(Conflict, match="is deleted"):
        comments.edit(actor(ana), comment=made, text="again")
    verbs = Event.objects.filter(verb__startswith="comment.").order_by("seq").values_list("verb", flat=True)
    assert list(verbs) == ["comment.added", "comment.edited", "comment.deleted"]


@pytest.mark.parametrize(("text", "message"), [(" ", "text is empty"), ("x" * 10_001, "10001 characters")])
def test_a_comment_has_words_and_a_limit(project, ana, run, text, message):
    with pytest.raises(Invalid, match=message):
        comments.add(actor(ana), project=project, target=on(ana, run), text=text)


def test_a_viewer_stars_and_does_not_comment(project, run):
    tom = make_user("tom", role="viewer", project=project)
    with pytest.raises(Forbidden, match=r"comment\.add"):
        comments.add(actor(tom), project=project, target=on(tom, run), text="x")
    assert Permission.MARK_KEEP in actor(tom).permissions_in(project)


def test_a_channel_is_told_of_a_comment(project, ana, run):
    Channel.objects.create(
        project=project, name="desk", name_key="desk", kind="email", recipients=["a@b.org"], verbs=["comment.added"]
    )
    comments.add(actor(ana), project=project, target=on(ana, run), text="hello")
    for owed in EventDelivery.objects.filter(task="projects.notify"):
        deliveries.fan_out(owed.pk)
    sent = Delivery.objects.get()
    assert sent.subject == f"[Churn] ana on run {run.pk}, first"
    assert sent.payload["data"]["link"].endswith(f"/p/churn/runs/{run.pk}/")


def test_comments_and_stars_on_the_run_page(project, ana, run):
    client = Client()
    client.force_login(ana)
    page, add = f"/p/churn/runs/{run.pk}/", reverse("projects:comment-add", args=["churn", "run", run.pk])
    answer = client.post(add, {"text": "<script>x</script> *good*", "back": f"{page}?a=1#top"})
    made = Comment.objects.get()
    assert (answer.status_code, answer["Location"]) == (303, f"{page}?a=1#comment-{made.pk}")
    assert client.post(add, {"text": "two", "back": "//evil.example"})["Location"].startswith(page)
    body = client.get(page).content.decode()
    assert "&lt;script&gt;x&lt;/script&gt; <em>good</em>" in body
    assert f'id="comment-{made.pk}"' in body
    refused = client.post(add, {"text": ""})
    assert (refused.status_code, "text is empty" in refused.content.decode()) == (422, True)
    star = reverse("projects:star-put", args=["churn", "run", run.pk])
    assert client.post(star, {"starred": "1", "back": page})["Location"] == page
    assert 'aria-pressed="true"' in client.get(page).content.decode()
    assert "run" in client.get("/").content.decode().split("Starred", 1)[1]
    part = client.post(star, {"starred": "0"}, headers={"HX-Request": "true"}).content.decode()
    assert 'aria-pressed="false"' in part
    assert not Star.objects.exists()


def test_editing_and_deleting_on_pages(project, ana, run):
    client = Client()
    client.force_login(ana)
    made = comments.add(actor(ana), project=project, target=on(ana, run), text="first words")
    edit = reverse("projects:comment-edit", args=["churn", made.pk])
    assert "first words" in client.get(edit).content.decode()
    assert client.post(edit, {"text": ""}).status_code == 422
    assert client.post(edit, {"text": "other words"})["Location"].endswith(f"#comment-{made.pk}")
    assert client.post(reverse("projects:comment-delete", args=["churn", made.pk])).status_code == 303
    assert client.get(edit).status_code == 404


def test_a_view_that_is_not_shared_is_its_owners_alone(project, ana):
    tom = make_user("tom", role="scientist", project=project)
    view = saved_views.save(actor(ana), project=project, name="mine", query="", shared=True)
    for user in (ana, tom):
        thing = targets.find(actor(user), project=project, kind="view", number=view.pk)
        stars.put(actor(user), project=project, target=thing)
    comments.add(actor(ana), project=project, target=thing, text="@tom")
    saved_views.change(actor(ana), view=view, shared=False)
    assert targets.find(actor(ana), project=project, kind="view", number=view.pk).label == "mine"
    with pytest.raises(Missing):
        targets.find(actor(tom), project=project, kind="view", number=view.pk)
    assert ([t.label for t in stars.listed(actor(ana))], stars.listed(actor(tom))) == (["mine"], [])
    assert "mine" not in waiting.for_person(actor(tom))[0].title


def test_a_check_keeps_its_comments_through_its_rule_sets(project, ana):
    version = profiled(project)
    rule = {"kind": "range", "columns": ["age"], "min": 0}
    key = checks.put(actor(ana), dataset=version.dataset, rule=rule).rules[0]["key"]
    number = checks.numbers_of(version.dataset)[key]
    found = targets.find(actor(ana), project=project, kind="check", number=number)
    comments.add(actor(ana), project=project, target=found, text="Why 0?")
    checks.put(actor(ana), dataset=version.dataset, rule={**rule, "min": 18}, replaces=key)
    assert checks.numbers_of(version.dataset) == {key: number}
    assert "18" in targets.find(actor(ana), project=project, kind="check", number=number).label
    checks.remove(actor(ana), dataset=version.dataset, key=key)
    assert targets.find(actor(ana), project=project, kind="check", number=number).label == f"{key}, of churn"
    assert len(comments.listed("check", number)) == 1


def test_the_api_does_what_the_pages_do(project, ana, run):
    client, base = Client(), "/api/v1/projects/churn"
    headers = {"Authorization": f"Bearer {make_token(ana, project, ['read', 'write'])}"}

    def call(method, path, body=None):
        send = getattr(client, method)
        given = {"data": json.dumps(body), "content_type": "application/json"} if body is not None else {}
        return send(f"{base}/{path}", headers=headers, **given)

    thing = {"type": "run", "number": run.pk}
    assert call("post", "stars/", thing).status_code == 201
    assert [s["number"] for s in call("get", "stars/").json()["results"]] == [run.pk]
    assert call("delete", f"stars/run/{run.pk}/").status_code == 204
    made = call("post", "comments/", {**thing, "text": "hello"}).json()
    assert (made["author"], made["text"]) == ("ana", "hello")
    assert call("patch", f"comments/{made['id']}/", {"text": "bye"}).json()["text"] == "bye"
    assert [c["text"] for c in call("get", f"comments/?type=run&number={run.pk}").json()["results"]] == ["bye"]
    assert call("get", "comments/?type=run&number=x").json()["field"] == "number"
    assert call("get", "comments/?type=moon&number=1").json()["field"] == "type"
    assert call("delete", f"comments/{made['id']}/").status_code == 204
    assert call("get", f"comments/{made['id']}/").status_code == 404
    reading = {"Authorization": f"Bearer {make_token(ana, project, ['read'])}"}
    assert client.post(f"{base}/stars/", thing, headers=reading).status_code == 403
