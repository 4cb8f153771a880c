"""Check an exported version of a model: python model_verify.py EXPORT.zip [PUBLIC-KEY.pem]

Exit codes: 0 intact, 1 altered, missing or extra inside, 3 signature or key, 4 unreadable.
Needs Python 3.9 and the package cryptography; unpacks nothing."""
import base64, hashlib, json, os, sys, zipfile
from cryptography.hazmat.primitives.serialization import load_pem_public_key

def plain(value):  # numbers are hashed as text, so that 1 and 1.0 are one
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return {"number": str(int(value)) if value == int(value) else repr(value)}
    if isinstance(value, list):
        return [plain(item) for item in value]
    return {key: plain(item) for key, item in value.items()} if isinstance(value, dict) else value

def canonical(value):
    return json.dumps(plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

def signed(pem, signature, message):
    try:
        load_pem_public_key(pem).verify(base64.b64decode(signature), message)
    except Exception:
        return False
    return True

def check(archive, size, key):
    entries = {entry.filename: entry for entry in archive.infolist()}
    if len(entries) != len(archive.infolist()) or sum(entry.file_size for entry in entries.values()) > size:
        return 1, "an entry lies in it twice, or says it is larger than the whole"
    if any(entry.compress_type or entry.flag_bits & 1 for entry in entries.values()):
        return 1, "an entry is compressed; an export stores its files"
    about = json.loads(archive.read("manifest.json"))
    pem = open(key, "rb").read() if key else archive.read("public-key.pem")
    if not signed(pem, archive.read("manifest.sig"), b"mlportal model export v1\n" + canonical(about)):
        return 3, "the signature does not fit manifest.json, or another key made it"
    identity = {"format": "mlportal-manifest-1", "provenance": about["provenance"]}
    identity["files"] = sorted(about["files"], key=lambda row: row["path"])
    digest, pem = hashlib.sha256(canonical(identity)).hexdigest(), about["keys"][about["signed_by"]].encode()
    if not signed(pem, about["manifest_signature"], b"mlportal model manifest v1\n" + digest.encode()):
        return 3, "the signature of the version does not fit its files"
    wanted = {"files/" + row["path"]: row["sha256"] for row in about["files"]}
    wanted.update((row["path"], row["sha256"]) for row in about.get("added", []))
    if odd := set(entries) ^ {*wanted, "manifest.json", "manifest.sig", "public-key.pem"}:
        return 1, f"{sorted(odd)[0]} is missing, or does not belong there"
    for name, sha256 in wanted.items():
        digest = hashlib.sha256()
        try:
            with archive.open(entries[name]) as stream:
                for part in iter(lambda: stream.read(1 << 20), b""):
                    digest.update(part)
        except zipfile.BadZipFile:
            return 1, f"{name} was altered"
        if digest.hexdigest() != sha256:
            return 1, f"{name} was altered"
    return 0, f"{about['model']} v{about['number']} is intact, signed by key {about['key']}"

try:
    with zipfile.ZipFile(sys.argv[1]) as zipped:
        code, words = check(zipped, os.path.getsize(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
except Exception as error:
    code, words = 4, f"cannot read: {error}"
print(words)
sys.exit(code)
