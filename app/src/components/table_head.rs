//! The head of a table: a name for each column.

use leptos::prelude::*;

/// The name of a column, and how it is shown.
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

    /// Left out where the page is narrow.
    pub const fn secondary(self) -> Self {
        self.class("secondary")
    }

    /// Instead of another class.
    pub const fn class(self, class: &'static str) -> Self {
        Self { class: Some(class), ..self }
    }

    /// Read out, and not shown: what the column holds speaks for itself.
    pub const fn unseen(self) -> Self {
        Self { is_visible: false, ..self }
    }

    /// Whether the table has the column at all.
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
