"""Whether this machine can sign requests to Google Cloud Storage: asked before the first of them.

Google's own libraries look for half a minute, in silence, before they say that it cannot.
"""

import functools
import os
import urllib.request
from pathlib import Path

import fsspec.config

from qlae.common.errors import UserError

_NAMED = ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST", "GCE_METADATA_HOST")


def check_credentials(path: object) -> None:
    """Checks that there are credentials, whether good or not.

    Raises:
        UserError: there are none.
    """
    if any(map(os.environ.get, _NAMED)) or fsspec.config.conf.get("gcs", {}).get("token"):
        return
    if any(file.exists() for file in _list_files()) or _has_metadata():
        return
    raise UserError(
        f"{path}: this machine has no Google Cloud credentials; run `gcloud auth "
        "application-default login`, or name a key file in GOOGLE_APPLICATION_CREDENTIALS, or, "
        "for a public bucket, set FSSPEC_GCS_TOKEN=anon"
    )


def _list_files() -> list[Path]:
    """Where gcloud and gcsfs keep what a user has signed in with."""
    home = Path.home()
    cloud = Path(os.environ.get("CLOUDSDK_CONFIG") or home / ".config" / "gcloud")
    return [cloud / "application_default_credentials.json", home / ".gcs_tokens"]


@functools.cache
def _has_metadata() -> bool:
    """Whether a machine of Google Cloud answers who it is; elsewhere nobody does."""
    address = os.environ.get("GCE_METADATA_IP", "169.254.169.254")
    request = urllib.request.Request(f"http://{address}", headers={"Metadata-Flavor": "Google"})
    try:
        with urllib.request.urlopen(request, timeout=1) as answer:
            return answer.headers.get("Metadata-Flavor") == "Google"
    except OSError:
        return False
