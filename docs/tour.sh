#!/bin/sh
# A tour of the main job by the API: sign in as the demo member, upload a real model, quote, accept, follow, read the receipt.
#   ./etabli demo &          then          docs/tour.sh [MODEL.stl] [DEMO.json]
set -eu
here=$(CDPATH='' cd -- "$(dirname -- "$0")/.." && pwd)
exec "$here/.venv/bin/python" "$here/docs/tour.py" \
    "${1:-$here/../shared/corpus/stl/mk3_y-belt-idler.stl}" "${2:-$here/var/demo/demo.json}"
