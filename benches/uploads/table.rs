//! Tables in Markdown: medians, then ratios to the bare loop and to nginx beside the goals.

use crate::loads::Load;
use crate::measure::{Figure, Figures};
use crate::peers::{BARE, Kind};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Setting {
    Disk,
    Memory,
}

impl Setting {
    pub fn name(self) -> &'static str {
        match self {
            Self::Disk => "disk",
            Self::Memory => "memory",
        }
    }

    /// Minimal goals for Lakeshore, compared with the bare loop and with nginx.
    fn goals(self, load: Load) -> (Option<f64>, Option<f64>) {
        match (self, load) {
            (Self::Disk, Load::Big | Load::Many) => (Some(0.9), None),
            (Self::Disk, Load::Small32) => (Some(0.9), Some(1.0)),
            (Self::Disk, Load::Small1) => (Some(0.8), None),
            (Self::Memory, Load::Big | Load::Many) => (None, Some(0.9)),
            (Self::Memory, Load::Small32) => (None, Some(0.8)),
            _ => (None, None),
        }
    }
}

/// Maximal goal for Lakeshore's processor time, compared with nginx.
const CPU_GOAL_MAX: f64 = 1.5;

pub fn print(setting: Setting, figures: &Figures) {
    println!("\nOn {}, medians:\n", setting.name());
    print_figures(figures);
    println!("\nOn {}, ratios (above 1.00: faster; of processor time, below 1.00: less):\n", setting.name());
    print_ratios(setting, figures);
    println!();
}

fn print_figures(figures: &Figures) {
    let mut titles = vec!["server".to_owned(), "syncs".to_owned()];
    let mut columns = Vec::new();
    for &load in &figures.loads {
        titles.push(format!("{}, {}", load.title(), load.unit()));
        columns.push((Figure::Rate(load), 1.0));
    }
    for &load in &figures.loads {
        // A second of processor time per file is a million microseconds.
        let (unit, scale) = if load.is_small() { ("us/file", 1e6) } else { ("s/GiB", 1.0) };
        titles.push(format!("CPU, {}, {unit}", load.title()));
        columns.push((Figure::Cpu(load), scale));
    }
    for &load in figures.loads.iter().filter(|load| matches!(load, Load::Big | Load::Many | Load::Small32)) {
        titles.push(format!("peak MiB, {}", load.title()));
        columns.push((Figure::PeakMib(load), 1.0));
    }
    titles.extend(["idle MiB", "start ms"].map(str::to_owned));
    columns.extend([(Figure::IdleMib, 1.0), (Figure::StartMs, 1.0)]);
    let rows = figures.servers.iter().map(|&(server, syncs)| {
        let mut row = vec![server.to_owned(), if syncs { "yes" } else { "no" }.to_owned()];
        row.extend(columns.iter().map(|&(figure, scale)| {
            figures.median(server, figure).map_or(String::new(), |value| rounded(value * scale))
        }));
        row
    });
    print_table(&titles, rows.collect());
}

fn print_ratios(setting: Setting, figures: &Figures) {
    let nginx = Kind::Nginx.name();
    let mut titles = vec!["server".to_owned()];
    let mut goals = vec!["goal for lakeshore".to_owned()];
    let mut columns = Vec::new();
    for &load in &figures.loads {
        let (bare_goal, nginx_goal) = setting.goals(load);
        for (other, goal) in [(BARE, bare_goal), (nginx, nginx_goal)] {
            titles.push(format!("{} / {other}", load.title()));
            goals.push(goal.map_or(String::new(), |goal| format!("≥ {goal:.2}")));
            columns.push((Figure::Rate(load), other));
        }
    }
    for &load in &figures.loads {
        titles.push(format!("CPU, {} / {nginx}", load.title()));
        goals.push(format!("≤ {CPU_GOAL_MAX:.2}"));
        columns.push((Figure::Cpu(load), nginx));
    }
    let mut rows: Vec<_> = figures
        .servers
        .iter()
        .map(|&(server, _)| {
            let ratio = |&(figure, other): &(Figure, _)| {
                figures.ratio(server, other, figure).map_or(String::new(), |ratio| format!("{ratio:.2}"))
            };
            std::iter::once(server.to_owned()).chain(columns.iter().map(ratio)).collect()
        })
        .collect();
    rows.push(goals);
    print_table(&titles, rows);
}

fn rounded(value: f64) -> String {
    match value.abs() {
        size if size >= 100.0 => format!("{value:.0}"),
        size if size >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.2}"),
    }
}

/// Servers are the columns: they are fewer than the figures, and a narrow table is readable.
fn print_table(titles: &[String], rows: Vec<Vec<String>>) {
    let width = |cells: &mut dyn Iterator<Item = &String>| cells.map(|cell| cell.chars().count()).max().unwrap_or(0);
    let first = width(&mut titles.iter());
    let widths: Vec<_> = rows.iter().map(|row| width(&mut row.iter())).collect();
    for (at, title) in titles.iter().enumerate() {
        let cells = rows.iter().zip(&widths).map(|(row, width)| format!(" {:>width$} |", row[at]));
        println!("| {title:<first$} |{}", cells.collect::<String>());
        if at == 0 {
            let rules = widths.iter().map(|width| format!("{}:|", "-".repeat(width + 1)));
            println!("|{}|{}", "-".repeat(first + 2), rules.collect::<String>());
        }
    }
}
