"""What the experiments app can do: one public function an action."""
