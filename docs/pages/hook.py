"""Tells MkDocs of the pages that are made when the site is built."""

from __future__ import annotations

from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files

from palaestra.docs.pages import site


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """The navigation, with a line for every generated page."""
    config.nav = site.navigation()
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """The generated pages and the pictures beside them; none of them is written into the sources."""
    for path, text in site.generated_pages().items():
        files.append(File.generated(config, path, content=text))
    for path, source in site.pictures().items():
        files.append(File.generated(config, path, abs_src_path=str(source)))
    return files
