//! Head of a table: the names of its columns.

use leptos::prelude::*;

/// Name of a column, and its display.
pub struct ColumnHead {
    name: &'static str,
    class: Option<&'static str>,
    is_visible: bool,
    is_there: bool,
}

pub const fn column(name: &'static str) -> ColumnHead {
    ColumnHead { name, class: None, is_visible: true, is_there: true }
}

impl ColumnHead {
    pub const fn number(self) -> Self {
        self.class("number")
    }

    /// Hidden on narrow screens.
    pub const fn secondary(self) -> Self {
        self.class("secondary")
    }

    /// Replaces the class.
    pub const fn class(self, class: &'static str) -> Self {
        Self { class: Some(class), ..self }
    }

    /// For screen readers only: the cells of the column need no visible head.
    pub const fn unseen(self) -> Self {
        Self { is_visible: false, ..self }
    }

    /// Whether the table has the column.
    pub const fn when(self, is_there: bool) -> Self {
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
    let ColumnHead { name, class, is_visible, .. } = column;
    let name =
        if is_visible { name.into_any() } else { view! { <span class="visually-hidden">{name}</span> }.into_any() };
    view! {
        <th scope="col" class=class>
            {name}
        </th>
    }
    .into_any()
}
