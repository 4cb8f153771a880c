"""WSGI entry: what the thread pool of ``mlportal.asgi`` runs; also fit for any WSGI server."""

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mlportal.settings")
application = get_wsgi_application()
