#!/bin/sh
# Prometheus and promtool, for the tests of dashboards and alerts: Debian's package, unpacked into .venv and not installed, so that no
# service starts. Where it cannot be had those tests are left out; with HUTONG_CI set they fail.
set -eu
cd "$(dirname "$0")/.."
if command -v promtool >/dev/null || [ -x .venv/prometheus/usr/bin/promtool ]; then
  exit 0
fi
home=$PWD
cd "$(mktemp -d)"
apt-get -qq update
apt-get -qq -o APT::Sandbox::User=root download prometheus
dpkg -x prometheus_*.deb "$home/.venv/prometheus"
