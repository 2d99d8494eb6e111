"""The dashboards, written in Python and kept as the JSON that Grafana provisions: ``python -m deploy.grafana.build``."""
