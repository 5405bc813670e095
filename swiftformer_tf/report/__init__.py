"""What `verify` measured as a page that people look at."""

from swiftformer_tf.report.page import html_report

__all__ = ["html_report"]
