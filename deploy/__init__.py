"""What runs Hutong elsewhere than on this machine, and watches it: containers, Kubernetes, Prometheus, Grafana."""
