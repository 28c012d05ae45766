"""What can be seen of what runs: access logs, metrics, the admin API."""
