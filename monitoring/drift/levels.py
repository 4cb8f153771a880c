"""Where drift of one column begins to matter. Plain numbers, so that rules are read without numpy.

Source: serving-monitoring.md, section 5.3; a boolean is judged by how far its share moved.
"""

WARN = 0.1
ALERT = 0.25
SHARE_WARN = 0.05
SHARE_ALERT = 0.10
UNSEEN_SHARE = 0.01
