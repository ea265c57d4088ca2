#!/bin/bash
# Runs the soak test for ten minutes (or MINUTES) for each protocol: full rate, one request in a
# hundred fails, the server is started again every minute. Usage: scripts/soak.sh [MINUTES]
set -euo pipefail
cd "$(dirname "$0")/.."
cmake --build --preset release --target soak_test sextant
SEXTANT_SOAK_MINUTES="${1:-10}" build/release/tests/e2e/soak_test
