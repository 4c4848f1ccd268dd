//! Form for the schedule of a dataset: a plain form, which returns to this page.

use crate::components::error_box::ErrorBox;
use crate::components::sign_in_form::SignInHint;
use crate::error::ApiError;
use lakeshore::model::dataset::record::Dataset;
use lakeshore::model::dataset::schedule::Every;
use leptos::prelude::*;

/// `fault` is the refusal of the sent form.
#[component]
pub fn ScheduleForm(dataset: Dataset, fault: Option<ApiError>, may_write: bool, is_signed_in: bool) -> impl IntoView {
    let schedule = dataset.rhythm;
    let said = schedule.map_or_else(
        || {
            "No schedule yet. Set how often files are due and by when. The calendar then marks late, incomplete and missing days, and late datasets appear on the overview.".to_owned()
        },
        |schedule| format!("Expected: {schedule}."),
    );
    let chosen = schedule.map(|schedule| schedule.every());
    let options = Every::all()
        .map(|every| {
            view! {
                <option value=every.to_string() selected=chosen == Some(every)>
                    {every.in_words()}
                </option>
            }
        })
        .collect_view();
    let by = schedule.map_or_else(|| "07:00".to_owned(), |schedule| schedule.by());
    let files_min = schedule.map_or(1, |schedule| schedule.files_min());
    let megabytes_min = megabytes(schedule.map_or(0, |schedule| schedule.bytes_min()));
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
                            <span>"Due by (UTC)"</span>
                            <input
                                class="input"
                                name="by"
                                value=by
                                pattern="[0-2]?[0-9]:(00|15|30|45)"
                                placeholder="07:00"
                                title="Hours and minutes in steps of 15 minutes, such as 07:15; empty means the end of the period"
                                autocomplete="off"
                                aria-describedby="due-hint"
                            />
                        </label>
                        <label class="field">
                            <span>"Min files"</span>
                            <input class="input" name="files_min" type="number" min="0" value=files_min.to_string()/>
                        </label>
                        <label class="field">
                            <span>"Min size, MB"</span>
                            <input class="input" name="megabytes_min" type="number" min="0" step="any" value=megabytes_min/>
                        </label>
                    </div>
                    <p class="hint" id="due-hint">
                        "For hourly schedules: time after the start of the period."
                    </p>
                    <div class="standing-buttons">
                        <button type="submit" class="button button-primary">
                            "Save schedule"
                        </button>
                    </div>
                </form>
                {schedule
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

/// Exact, because the form stores what it shows: 500,000 bytes are `0.5`.
fn megabytes(bytes: u64) -> String {
    let text = format!("{}.{:06}", bytes / 1_000_000, bytes % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_is_shown_in_megabytes_without_rounding() {
        for (bytes, text) in [(0, "0"), (500_000, "0.5"), (10_000_000, "10"), (1_234_567, "1.234567"), (1, "0.000001")]
        {
            assert_eq!(megabytes(bytes), text);
        }
    }
}
