"""Pages of the experiments app, below ``/p/<project>/``."""

from django.urls import URLPattern, URLResolver, path

from experiments.views import jobs, launch

app_name = "experiments"
urlpatterns: list[URLPattern | URLResolver] = [
    path("jobs/", jobs.Jobs.as_view(), name="job-list"),
    path("jobs/new/", launch.Launch.as_view(), name="job-launch"),
    path("jobs/<int:job>/", jobs.Job.as_view(), name="job-detail"),
    path("jobs/<int:job>/live/", jobs.JobLive.as_view(), name="job-live"),
    path("jobs/<int:job>/log/", jobs.JobLog.as_view(), name="job-log"),
    path("jobs/<int:job>/log.txt", jobs.JobLogText.as_view(), name="job-log-text"),
    path("jobs/<int:job>/cancel/", jobs.JobCancel.as_view(), name="job-cancel"),
    path("jobs/<int:job>/retry/", jobs.JobRetry.as_view(), name="job-retry"),
]
