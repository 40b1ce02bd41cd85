"""For plugin authors: one call in a test checks that a backbone, a data set or a freezing strategy keeps its promises.

    from tlstudio.testing import check_backbone

    def test_my_backbone():
        check_backbone(my_plugin.register_backbones()[0])

Each check raises ``AssertionError`` with a sentence that says what to mend.
"""

from tlstudio.testing.checks import check_backbone, check_dataset, check_strategy

__all__ = ["check_backbone", "check_dataset", "check_strategy"]
