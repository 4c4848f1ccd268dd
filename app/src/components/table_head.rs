//! Head of a table: the names of its columns.

use leptos::prelude::*;
use std::borrow::Cow;

/// Name of a column, and its display.
pub struct ColumnHead {
    name: Cow<'static, str>,
    class: Option<&'static str>,
    value_type: Option<String>,
    sort: Option<SortLink>,
    is_visible: bool,
    is_there: bool,
}

/// Link that sorts a table by a column.
pub struct SortLink {
    pub href: String,
    /// Value of `aria-sort`.
    pub state: &'static str,
    /// Arrow after the name.
    pub arrow: &'static str,
}

pub fn column(name: impl Into<Cow<'static, str>>) -> ColumnHead {
    ColumnHead { name: name.into(), class: None, value_type: None, sort: None, is_visible: true, is_there: true }
}

impl ColumnHead {
    pub fn number(self) -> Self {
        self.class("number")
    }

    pub fn number_if(self, is_number: bool) -> Self {
        if is_number { self.number() } else { self }
    }

    /// Hidden on narrow screens.
    pub fn secondary(self) -> Self {
        self.class("secondary")
    }

    /// Replaces the class.
    pub fn class(self, class: &'static str) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Shows the type of the column's values after its name.
    pub fn value_type(self, value_type: String) -> Self {
        Self { value_type: Some(value_type), ..self }
    }

    pub fn sort(self, link: SortLink) -> Self {
        Self { sort: Some(link), ..self }
    }

    /// For screen readers only: the cells of the column need no visible head.
    pub fn unseen(self) -> Self {
        Self { is_visible: false, ..self }
    }

    /// Whether the table has the column.
    pub fn when(self, is_there: bool) -> Self {
        Self { is_there, ..self }
    }
}

pub fn table_head(columns: impl IntoIterator<Item = ColumnHead>) -> AnyView {
    let heads: Vec<_> = columns.into_iter().filter(|column| column.is_there).map(head).collect();
    view! {
        <thead>
            <tr>{heads}</tr>
        </thead>
    }
    .into_any()
}

fn head(column: ColumnHead) -> AnyView {
    let ColumnHead { name, class, value_type, sort, is_visible, .. } = column;
    let state = sort.as_ref().map(|link| link.state);
    let name = match sort {
        Some(SortLink { href, arrow, .. }) => view! {
            <a class="sort" href=href>
                {name}
                <span aria-hidden="true">{arrow}</span>
            </a>
        }
        .into_any(),
        None if is_visible => name.into_any(),
        None => view! { <span class="visually-hidden">{name}</span> }.into_any(),
    };
    view! {
        <th scope="col" class=class aria-sort=state>
            {name}
            {value_type.map(|value_type| view! { <span class="column-type">{value_type}</span> })}
        </th>
    }
    .into_any()
}
