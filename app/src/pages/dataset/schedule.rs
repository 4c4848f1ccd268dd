//! Form for the schedule of a dataset: a plain form, which returns to this page.

use crate::components::error_box::ErrorBox;
use crate::components::sign_in_form::SignInHint;
use crate::error::ApiError;
use crate::format;
use lakeshore::model::dataset::record::Dataset;
use lakeshore::model::dataset::schedule::{DeliverySchedule, Every};
use leptos::prelude::*;

fn every_words(every: Every) -> String {
    match every {
        Every::Day => "Every day".to_owned(),
        Every::Weekday => "Monday to Friday".to_owned(),
        Every::Hours(1) => "Every hour".to_owned(),
        Every::Hours(hours) => format!("Every {hours} hours"),
    }
}

/// `every day by 07:00 UTC, at least 10 files`
pub fn words(rhythm: &DeliverySchedule) -> String {
    let mut words = every_words(rhythm.every());
    // Lower case within a sentence, except for names of days.
    if !matches!(rhythm.every(), Every::Weekday) {
        words = words.replacen('E', "e", 1);
    }
    let by = rhythm.by();
    match rhythm.every() {
        Every::Day | Every::Weekday if by == "24:00" => words.push_str(" by midnight UTC"),
        Every::Day | Every::Weekday => words.push_str(&format!(" by {by} UTC")),
        Every::Hours(_) => words.push_str(&format!(" within {by}")),
    }
    words.push_str(&format!(", at least {}", format::counted(rhythm.files_min(), "file")));
    if rhythm.bytes_min() > 0 {
        words.push_str(&format!(" and {}", format::bytes(rhythm.bytes_min())));
    }
    words
}

/// `fault` is the refusal of the sent form.
#[component]
pub fn RhythmForm(dataset: Dataset, fault: Option<ApiError>, may_write: bool, is_signed_in: bool) -> impl IntoView {
    let rhythm = dataset.rhythm;
    let said = rhythm.map_or_else(
        || "No schedule is set. Say how often new files are due, and by when: the calendar then shows late, incomplete and missing days, and the overview lists the dataset while it is late.".to_owned(),
        |rhythm| format!("Expected: {}.", words(&rhythm)),
    );
    let chosen = rhythm.map(|rhythm| rhythm.every());
    let options = Every::all()
        .map(|every| {
            view! {
                <option value=every.to_string() selected=chosen == Some(every)>
                    {every_words(every)}
                </option>
            }
        })
        .collect_view();
    let by = rhythm.map_or_else(|| "07:00".to_owned(), |rhythm| rhythm.by());
    let files_min = rhythm.map_or(1, |rhythm| rhythm.files_min());
    let megabytes_min = rhythm.map_or(0, |rhythm| rhythm.bytes_min() / 1_000_000);
    let path = dataset.path.to_string();
    view! {
        <p class="hint">{said}</p>
        {fault.map(|error| view! { <ErrorBox error/> })}
        {if may_write {
            view! {
                <form method="post" action="/fn/rhythm" class="card rhythm-form">
                    <input type="hidden" name="path" value=path.clone()/>
                    <div class="form-row">
                        <label class="field">
                            <span>"Frequency"</span>
                            <select class="input" name="every">
                                {options}
                            </select>
                        </label>
                        <label class="field">
                            <span>"Due by (UTC, or hours into each period)"</span>
                            <input
                                class="input"
                                name="by"
                                value=by
                                pattern="[0-2]?[0-9]:(00|15|30|45)"
                                placeholder="07:00"
                                title="Hours and minutes in steps of 15 minutes, such as 07:15; empty means the end of the period"
                                autocomplete="off"
                            />
                        </label>
                        <label class="field">
                            <span>"Min files"</span>
                            <input class="input" name="files_min" type="number" min="0" value=files_min.to_string()/>
                        </label>
                        <label class="field">
                            <span>"Min size, MB"</span>
                            <input class="input" name="megabytes_min" type="number" min="0" value=megabytes_min.to_string()/>
                        </label>
                    </div>
                    <div class="standing-buttons">
                        <button type="submit" class="button button-primary">
                            "Save schedule"
                        </button>
                    </div>
                </form>
                {rhythm
                    .is_some()
                    .then(|| {
                        view! {
                            <form method="post" action="/fn/rhythm" class="section">
                                <input type="hidden" name="path" value=path/>
                                <input type="hidden" name="every" value=""/>
                                <button type="submit" class="button button-quiet">
                                    "Remove schedule"
                                </button>
                            </form>
                        }
                    })}
            }
                .into_any()
        } else {
            view! { <SignInHint is_signed_in purpose="to set a schedule"/> }.into_any()
        }}
    }
    .into_any()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rhythm_is_a_sentence() {
        let rhythm = |every, by, files, bytes| words(&DeliverySchedule::new(every, by, files, bytes).unwrap());
        assert_eq!(rhythm(Every::Day, Some("07:00"), 10, 0), "every day by 07:00 UTC, at least 10 files");
        assert_eq!(
            rhythm(Every::Weekday, None, 1, 5_000_000),
            "Monday to Friday by midnight UTC, at least 1 file and 5.0 MB"
        );
        assert_eq!(rhythm(Every::Hours(6), Some("01:30"), 1, 0), "every 6 hours within 01:30, at least 1 file");
    }
}
