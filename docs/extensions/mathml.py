"""Equations as MathML, which browsers draw by themselves: no script and no font is fetched.

Equations in the cells of tables, written in plain Unicode there, are typeset too.
"""

from typing import Any

from docutils import nodes
from equations import latex, typeset
from latex2mathml.converter import convert
from sphinx.application import Sphinx
from sphinx.transforms import SphinxTransform


class TypesetTables(SphinxTransform):
    """Makes mathematics of the equations in tables."""

    default_priority = 220

    def apply(self, **_: Any) -> None:
        """Replaces the text of a cell by its parts."""
        for entry in list(self.document.findall(nodes.entry)):
            for text in list(entry.findall(nodes.Text)):
                inside = isinstance(text.parent, nodes.paragraph)
                parts = typeset(text.astext()) if inside else []
                if any(equation for _, equation in parts):
                    text.parent.replace(text, [_node(*part) for part in parts])


def _node(part: str, equation: bool) -> nodes.Node:
    return nodes.math("", latex(part)) if equation else nodes.Text(part)


def _inline(translator: Any, node: nodes.math) -> None:
    translator.body.append(convert(node.astext()))
    raise nodes.SkipNode


def _block(translator: Any, node: nodes.math_block) -> None:
    equation = convert(node.astext(), display="block")
    translator.body.append(f'<div class="equation">{equation}</div>\n')
    raise nodes.SkipNode


def setup(app: Sphinx) -> dict[str, bool]:
    app.add_html_math_renderer("mathml", (_inline, None), (_block, None))
    app.add_transform(TypesetTables)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
