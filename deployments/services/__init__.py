"""What the deployments app can do: one public function an action."""
