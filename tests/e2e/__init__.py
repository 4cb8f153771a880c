"""A real browser against a real portal: web, worker, beat, broker and serving process."""
