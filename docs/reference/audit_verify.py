"""Check an export of the audit log: python audit_verify.py EXPORT.zip [PUBLIC-KEY.pem]

Exit codes: 0 intact, 1 altered or missing inside, 2 missing at the end, 3 signature, 4 unreadable.
Needs Python 3.9 and nothing else; the signature is checked when the package cryptography is there."""
import base64, hashlib, json, sys, zipfile

def canonical(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()

def sha256(value):
    return hashlib.sha256(canonical(value)).hexdigest()

def check(archive, key):
    manifest = json.loads(archive.read("manifest.json"))
    seq, prev, count, content = 0, manifest["prev"], 0, hashlib.sha256()
    for text in archive.open("entries.jsonl"):
        content.update(text)
        line = json.loads(text)
        entry, people = line["entry"], line["people"]
        broken = manifest["whole"] and entry["prev"] != prev  # each entry holds the hash of the one before
        if broken or entry["seq"] <= seq or sha256(entry) != line["hash"]:
            return 1, f"entry {entry['seq']} was altered, or entries before it are missing"
        named = set(people) == {role for role in ("who", "whom") if entry[role]}  # an erased person has no word left
        if not named or any(sha256(p) != entry[role] if p[0] else any(p) for role, p in people.items()):
            return 1, f"the name or address in entry {entry['seq']} was altered"
        seq, prev, count = entry["seq"], line["hash"], count + 1
    if count < manifest["count"]:
        return 2, f"{manifest['count'] - count} entries are missing"
    found = (count, prev if count else "", content.hexdigest())
    if found != (manifest["count"], manifest["head"], manifest["sha256"]):
        return 1, "the manifest does not describe these entries"
    try:
        from cryptography.hazmat.primitives.serialization import load_pem_public_key
    except ImportError:
        return 0, f"{count} entries are intact; install cryptography to check the signature"
    public = load_pem_public_key(open(key, "rb").read() if key else archive.read("public-key.pem"))
    try:
        message = b"mlportal audit export v1\n" + canonical(manifest)
        public.verify(base64.b64decode(archive.read("manifest.sig")), message)
    except Exception:
        return 3, "the signature over the manifest does not match"
    known = "the key that was given" if key else "the key in the export; compare it with the portal's"
    return 0, f"{count} entries are intact, signed by key {manifest['key']}, {known}"

try:
    code, words = check(zipfile.ZipFile(sys.argv[1]), sys.argv[2] if len(sys.argv) > 2 else None)
except Exception as error:
    code, words = 4, f"cannot read: {error}"
print(words)
sys.exit(code)
