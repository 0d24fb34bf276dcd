"""Validates the Kubernetes manifests in the ```yaml blocks of a page, strictly, against the schemas of kubernetes-validate.

    kubernetes_manifests_are_valid.py PAGE

Each is held against the oldest version of Kubernetes that the page says will do, and against the newest there is a schema of. Of custom resources, such as
KEDA's, there is none: that they have a version, a kind and a name is all that is asked. Says how many it validated; exits with 1 if anything is wrong.
"""
import pathlib
import re
import sys

import kubernetes_validate
import yaml

VERSIONS = ("1.30", kubernetes_validate.latest_version())
FENCE = re.compile(r"^```yaml[ \t]*\n(.*?)^```[ \t]*$", re.MULTILINE | re.DOTALL)

page = pathlib.Path(sys.argv[1])
text = page.read_text()
faults, seen, validated, custom = [], set(), 0, 0


class Loader(yaml.SafeLoader):
    """Refuses a key that stands twice in one mapping, as Kubernetes does; YAML's own loader takes the last."""


def mapping(loader, node):
    keys = [loader.construct_object(key) for key, _ in node.value]
    twice = next((key for key in keys if keys.count(key) > 1), None)
    if twice is not None:
        raise yaml.constructor.ConstructorError(None, None, f"the key {twice!r} stands twice", node.start_mark)
    return loader.construct_mapping(node, deep=True)


Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)


def is_own(api_version):
    """Whether Kubernetes itself defines this group: `v1`, `apps/v1`, `networking.k8s.io/v1`; not `keda.sh/v1alpha1`."""
    group = api_version.rpartition("/")[0]
    return "." not in group or group.endswith(".k8s.io")


def judge(resource, where):
    """What is wrong with a resource, in words; nothing if it is none of Kubernetes' own."""
    for version in VERSIONS:
        try:
            kubernetes_validate.validate(resource, version, strict=True)
        except kubernetes_validate.ValidationError as fault:
            at = ".".join(str(part) for part in fault.path) or "the top"
            return f"{where}: Kubernetes {version}: {at}: {fault.message}"
        except kubernetes_validate.SchemaNotFoundError as fault:
            return f"{where}: {fault.message}"
    return None


for block in FENCE.finditer(text):
    line = text.count("\n", 0, block.start()) + 1
    try:
        documents = [document for document in yaml.load_all(block[1], Loader=Loader) if document is not None]
    except yaml.YAMLError as fault:
        faults.append(f"{page}:{line}: not YAML: {fault}")
        continue
    for document in documents:
        if not isinstance(document, dict):
            faults.append(f"{page}:{line}: not a manifest: {document!r}")
            continue
        metadata = document.get("metadata")
        names = {
            "apiVersion": document.get("apiVersion"),
            "kind": document.get("kind"),
            "metadata.name": metadata.get("name") if isinstance(metadata, dict) else None,
        }
        missing = [what for what, value in names.items() if not (isinstance(value, str) and value)]
        if missing:
            faults.append(f"{page}:{line}: a manifest without {', '.join(missing)}")
            continue
        api_version, kind, name = names.values()
        where = f"{page}:{line}: {kind} {name}"
        if (api_version, kind, name) in seen:
            faults.append(f"{where}: stands there twice")
        seen.add((api_version, kind, name))
        if not is_own(api_version):
            custom += 1
            continue
        fault = judge(document, where)
        if fault:
            faults.append(fault)
        else:
            validated += 1
if not validated and not faults:
    faults.append(f"{page}: no manifest in a ```yaml block")
print(f"{validated} manifests valid for Kubernetes {' and '.join(VERSIONS)}, {custom} custom resources looked at")
print("\n".join(faults), file=sys.stderr)
sys.exit(1 if faults else 0)
