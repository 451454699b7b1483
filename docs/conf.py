"""Sphinx builds the documentation: `make docs`."""

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path[:0] = [str(HERE), str(HERE.parent)]

project = "lakehouse_assets"
html_title = project
extensions = ["myst_parser", "generated"]
exclude_patterns = ["_build"]
myst_heading_anchors = 4
myst_enable_extensions = ["colon_fence", "deflist"]
# Texts are quoted as the program writes them.
smartquotes = False
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_show_copyright = False
html_show_sphinx = False
html_copy_source = False
html_theme_options: dict[str, list[str]] = {"top_of_page_buttons": []}
# `make docs-links` alone looks at addresses of other hosts.
linkcheck_timeout = 20
linkcheck_ignore = [r"http://127\.0\.0\.1"]
