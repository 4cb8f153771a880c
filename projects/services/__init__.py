"""What the projects app can do: one public function an action."""
