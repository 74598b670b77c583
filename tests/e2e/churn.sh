#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Tunnels that churn under API clients (churn.py), against the programs in B (build/tsan for make tsan). Ends with one line.
set -u
cd "$(dirname "$0")/../.."
export B=${B:-build}
export PATIENCE=${PATIENCE:-240}
if python3 -B tests/e2e/churn.py; then
	echo "1 passed, 0 failed, 0 skipped"
else
	echo "0 passed, 1 failed, 0 skipped"
	exit 1
fi
