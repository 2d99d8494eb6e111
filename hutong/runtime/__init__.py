"""What every service and connector shares: one run loop, health and metrics over HTTP, logs."""
