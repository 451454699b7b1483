"""Every measure has a term, and every term names something."""

from __future__ import annotations

from collections import Counter

from lakehouse_assets.catalog.domain import Domain
from lakehouse_assets.catalog.registry import Table
from lakehouse_assets.domains import DOMAINS


def tables_of(domain: Domain) -> list[Table]:
    return [*domain.tables, *(view.table for view in domain.views)]


def test_each_term_has_columns_and_each_measure_a_term() -> None:
    measures, named = set(), set()
    for domain in DOMAINS:
        tables = tables_of(domain)
        measures |= {f"{t.full_name}.{m.name}" for t in tables for m in t.measures}
        for term in domain.terms:
            named |= {f"{t.full_name}.{m.name}" for t, m in term.measures_of(tables)}
    without = [
        f"{domain.name}: {term.name}"
        for domain in DOMAINS
        for term in domain.terms
        if not [*term.columns_of(tables_of(domain))]
    ]
    assert without == [], "terms without columns"
    assert sorted(measures - named) == [], "measures without a term in the domain's glossary.py"


def test_what_a_term_names_exists() -> None:
    wrong = []
    for domain in DOMAINS:
        tables = tables_of(domain)
        every = {term.name for term in domain.terms}
        columns = {c for t in tables for n in t.column_names for c in (n, f"{t.name}.{n}")}
        measures = {n for t in tables for m in t.measures for n in (m.name, f"{t.name}.{m.name}")}
        for term in domain.terms:
            wrong += [f"{term.name}: {name}" for name in {*term.columns} - columns]
            wrong += [f"{term.name}: {name}" for name in {*term.measures} - measures]
            wrong += [f"{term.name}: {name}" for name in {*term.related} - every]
    assert wrong == []


def test_terms_are_told_apart_and_explained() -> None:
    terms = [(domain.name, term) for domain in DOMAINS for term in domain.terms]
    names = Counter((domain, term.name) for domain, term in terms)
    assert [name for name, number in names.items() if number > 1] == []
    for _, term in terms:
        assert term.definition.endswith("."), term.name
        assert len(term.definition) > 40, term.name
        assert (term.steward or "team:").startswith("team:"), term.name
