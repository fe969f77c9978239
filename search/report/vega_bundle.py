"""The plotting library of a page, as JavaScript: Vega-Embed with all that it needs, from the package vl-convert."""

from importlib.metadata import version

from search.errors import OperationFailed
from search.machine.cache_folder import cache_folder
from trainable.storage.atomic import write_atomically


def vega() -> str:
    """JavaScript that defines `vegaEmbed`. Bundling it takes two seconds, so it is kept in the cache folder.

    OperationFailed where the package is not installed: a checkout that was brought up to date without `make setup`.
    """
    try:
        kept = cache_folder() / f"vega-{version('vl-convert-python')}.js"
        try:
            return kept.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            import vl_convert  # takes its time too
    except ImportError as error:
        raise OperationFailed(
            f"a page needs the package vl-convert-python, which cannot be imported ({error}). Run: make setup"
        ) from error
    text: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    try:
        kept.parent.mkdir(parents=True, exist_ok=True)
        write_atomically(kept, text.encode())
    except OSError:  # it is bundled again
        pass
    return text
