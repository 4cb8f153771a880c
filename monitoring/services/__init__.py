"""What the monitoring app can do: one public function an action."""
