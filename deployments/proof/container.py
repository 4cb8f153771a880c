"""What an exported version needs beside its files to run elsewhere: code, pinned packages, Dockerfile, manifests.

Everything is made from the version and the installed code alone, so the same version gives the same bytes.
"""

import ast
import hashlib
import re
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

ROOMS = ("deployments", "mlportal", "experiments", "projects")
START = ("deployments.runtime.standalone", "experiments.training.dates")
LIBRARIES = ("numpy", "scipy", "scikit-learn", "skops", "pandas", "pyarrow", "onnxruntime", "uvicorn", "httptools")
_NOT_PLAIN = re.compile(r"[^a-z0-9-]+")
_NAME = re.compile(r"^[A-Za-z0-9._-]+")

DOCKERFILE = """\
FROM python:3.11-slim-bookworm
WORKDIR /srv
COPY requirements.txt .
RUN pip install --no-cache-dir --require-hashes -r requirements.txt
COPY . .
ENV PYTHONPATH=/srv/package HOST=0.0.0.0 OMP_NUM_THREADS=1 PYTHONUNBUFFERED=1
USER 65534
EXPOSE 8080
HEALTHCHECK CMD ["python", "-c", "import urllib.request as u; u.urlopen('http://127.0.0.1:8080/v2/health/ready')"]
CMD ["python", "-m", "deployments.runtime.standalone", "/srv", "8080"]
"""
README = """\
# {model} v{number}

    python check.py                       # files and golden answers, without the portal
    docker build -t {image} .             # or, without a container:
    PYTHONPATH=package python -m deployments.runtime.standalone . 8080
    curl localhost:8080/invocations -H 'Content-Type: application/json' -d '{{"dataframe_records": [...]}}'
    kubectl apply -f kubernetes/deployment.yaml -f kubernetes/service.yaml -f kubernetes/autoscaler.yaml
    kubectl apply -f kubernetes/inferenceservice.yaml   # or so, with KServe

`pip install --require-hashes -r requirements.txt` installs what it needs. `golden.json` has held-out rows with the
answers training recorded; `parity.json` says how far the ONNX form is from the stored model. The server has no sign-in
and keeps no log: put it behind what you use for both. `mlportal model verify` checks the zip and who signed it.
"""
DEPLOYMENT = """\
apiVersion: apps/v1
kind: Deployment
metadata:
  name: {name}
  labels: &labels {{app.kubernetes.io/name: {name}, app.kubernetes.io/version: "{number}"}}
spec:
  selector:
    matchLabels: {{app.kubernetes.io/name: {name}}}
  template:
    metadata:
      labels: *labels
    spec:
      automountServiceAccountToken: false
      securityContext: {{runAsNonRoot: true, runAsUser: 65534, seccompProfile: {{type: RuntimeDefault}}}}
      containers:
        - name: model
          image: {image}
          ports: [{{containerPort: 8080, name: http}}]
          readinessProbe: {{httpGet: {{path: /v2/health/ready, port: http}}, periodSeconds: 5}}
          livenessProbe: {{httpGet: {{path: /v2/health/live, port: http}}, periodSeconds: 10, failureThreshold: 6}}
          resources:
            requests: {{cpu: "1", memory: {memory}Mi}}
            limits: {{memory: {memory}Mi}}
          securityContext:
            {{allowPrivilegeEscalation: false, readOnlyRootFilesystem: true, capabilities: {{drop: [ALL]}}}}
"""
SERVICE = """\
apiVersion: v1
kind: Service
metadata:
  name: {name}
spec:
  selector: {{app.kubernetes.io/name: {name}}}
  ports: [{{port: 80, targetPort: http, name: http}}]
"""
AUTOSCALER = """\
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: {name}
spec:
  scaleTargetRef: {{apiVersion: apps/v1, kind: Deployment, name: {name}}}
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Resource
      resource: {{name: cpu, target: {{type: Utilization, averageUtilization: 70}}}}
"""
INFERENCE_SERVICE = """\
apiVersion: serving.kserve.io/v1beta1
kind: InferenceService
metadata:
  name: {name}
spec:
  predictor:
    containers:
      - name: kserve-container
        image: {image}
        ports: [{{containerPort: 8080, protocol: TCP}}]
        readinessProbe: {{httpGet: {{path: /v2/health/ready, port: 8080}}}}
        resources:
          requests: {{cpu: "1", memory: {memory}Mi}}
          limits: {{memory: {memory}Mi}}
"""


def endpoint(model: str) -> str:
    """Return a name that addresses and Kubernetes take; one that had to change has a mark, so that two never meet."""
    plain = _NOT_PLAIN.sub("-", model.lower()).strip("-")[:50]
    mark = hashlib.sha256(model.encode()).hexdigest()[:6]
    return plain if plain == model and plain[:1].isalpha() else f"model-{plain}-{mark}".replace("--", "-")


def texts(model: str, number: int, size_bytes: int) -> dict[str, bytes]:
    """Return Dockerfile, words and Kubernetes manifests of one version, by path."""
    name = endpoint(model)
    known = {
        "model": model, "number": number, "name": name, "image": f"{name}:v{number}",
        "memory": 512 + 4 * (size_bytes >> 20),
    }  # fmt: skip
    files = {
        "Dockerfile": DOCKERFILE,
        ".dockerignore": "*.zip\n",
        "kubernetes/deployment.yaml": DEPLOYMENT.format(**known),
        "kubernetes/service.yaml": SERVICE.format(**known),
        "kubernetes/autoscaler.yaml": AUTOSCALER.format(**known),
        "kubernetes/inferenceservice.yaml": INFERENCE_SERVICE.format(**known),
    }
    return {path: text.encode() for path, text in files.items()}


def words(model: str, number: int) -> bytes:
    """Return the README."""
    return README.format(model=model, number=number, image=f"{endpoint(model)}:v{number}").encode()


def code(root: Path) -> dict[str, bytes]:
    """Return the modules that serving one version needs, by path, found from what they import."""
    found: dict[str, bytes] = {}
    waiting = list(START)
    while waiting:
        path = _file(root, waiting.pop())
        if path is None or path in found:
            continue
        text = (root / path).read_bytes()
        # What a package says at its top is not needed, and may load what is not there.
        found[path] = b"" if path.endswith("__init__.py") else text
        if not path.endswith("__init__.py"):
            waiting += _imported(ast.parse(text))
    for path in list(found):
        found |= {f"{parent}/__init__.py": b"" for parent in map(str, Path(path).parents) if parent != "."}
    return dict(sorted(found.items()))


def _file(root: Path, module: str) -> str | None:
    place = module.replace(".", "/")
    return next((path for path in (f"{place}.py", f"{place}/__init__.py") if (root / path).is_file()), None)


def _imported(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names if name.name.split(".")[0] in ROOMS)
        elif isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] in ROOMS:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def requirements(lock: str) -> bytes:
    """Return the part of a lock file that serving needs, hashes and all: the libraries and what they need."""
    blocks: dict[str, str] = {}
    name = ""
    for line in lock.splitlines():
        if found := _NAME.match(line):
            name = _key(found[0])
            blocks[name] = ""
        if name and not line.lstrip().startswith("#"):
            blocks[name] += f"{line}\n"
    wanted, waiting = set[str](), list(LIBRARIES)
    while waiting:
        each = _key(waiting.pop())
        if each in blocks and each not in wanted:
            wanted.add(each)
            waiting += _needs(each)
    return "".join(blocks[each] for each in sorted(wanted)).encode()


def _needs(name: str) -> list[str]:
    try:
        listed = metadata.requires(name) or []
    except metadata.PackageNotFoundError:
        return []
    return [found[0] for line in listed if "extra ==" not in line and (found := _NAME.match(line))]


def _key(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()
