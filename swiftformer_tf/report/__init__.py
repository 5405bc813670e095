"""The results of `verify` as an HTML page."""

from swiftformer_tf.report.page import check_page, html_report, save_page

__all__ = ["check_page", "html_report", "save_page"]
