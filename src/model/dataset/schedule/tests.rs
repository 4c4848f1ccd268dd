use super::*;
use proptest::prelude::*;

const HOUR_MS: i64 = 60 * MINUTE_MS;

/// A time, counted from a Monday (day 4).
fn at(day: i64, hours: i64, minutes: i64) -> Timestamp {
    Timestamp((4 + day) * DAY_MS + hours * HOUR_MS + minutes * MINUTE_MS)
}

fn arrival(at: Timestamp, files: u64) -> Arrival {
    Arrival { slot: Timestamp(at.0.div_euclid(SLOT_MS) * SLOT_MS), files, bytes: files * 10 }
}

fn daily() -> DeliverySchedule {
    DeliverySchedule::new(Every::Day, Some("07:00"), 10, 0).unwrap()
}

fn standings(rhythm: &DeliverySchedule, all: &[Arrival], now: Timestamp) -> Vec<Timeliness> {
    let arrived = Arrivals { first: Timestamp(0), all };
    calendar(Some(rhythm), &arrived, Day(4), now).into_iter().map(|day| day.standing).collect()
}

#[test]
fn a_day_has_landed_late_short_or_missing() {
    let all = [
        arrival(at(0, 3, 0), 4),
        arrival(at(0, 6, 59), 6),
        arrival(at(1, 6, 0), 9),
        arrival(at(1, 7, 0), 1),
        arrival(at(2, 23, 50), 9),
        arrival(at(4, 1, 0), 9),
    ];
    use Timeliness::{Landed, Late, Missing, NotYet, Overdue, Short};
    assert_eq!(standings(&daily(), &all, at(4, 6, 59)), [Landed, Late, Short, Missing, NotYet]);
    assert_eq!(standings(&daily(), &all, at(4, 7, 0)), [Landed, Late, Short, Missing, Overdue]);
    assert_eq!(standings(&daily(), &all, at(5, 0, 0)), [Landed, Late, Short, Missing, Short, NotYet]);
}

#[test]
fn a_dataset_is_late_from_the_deadline_until_its_delivery_is_complete() {
    let late = |all: &[Arrival], now| daily().late_since(&Arrivals { first: Timestamp(0), all }, now);
    let before = [arrival(at(0, 3, 0), 10)];
    assert_eq!(late(&before, at(1, 6, 59)), None);
    assert_eq!(late(&before, at(1, 7, 0)), Some(at(1, 7, 0)));
    assert_eq!(late(&before, at(2, 0, 0)), Some(at(1, 7, 0)), "the next day's time is not over yet");
    assert_eq!(late(&before, at(2, 7, 0)), Some(at(2, 7, 0)));
    let since = [before[0], arrival(at(2, 1, 0), 10)];
    assert_eq!(late(&since, at(2, 2, 0)), None, "what came for the next day is as good");
    assert_eq!(daily().due(at(2, 7, 0)), Some(at(3, 7, 0)));
}

#[test]
fn a_weekday_schedule_expects_nothing_on_weekends() {
    let weekdays = DeliverySchedule::new(Every::Weekday, Some("07:00"), 1, 0).unwrap();
    let friday = [arrival(at(4, 1, 0), 1)];
    let arrived = Arrivals { first: at(4, 1, 0), all: &friday };
    assert_eq!(weekdays.late_since(&arrived, at(6, 23, 0)), None);
    assert_eq!(weekdays.late_since(&arrived, at(7, 7, 0)), Some(at(7, 7, 0)));
    assert_eq!(weekdays.due(at(4, 8, 0)), Some(at(7, 7, 0)));
    let days = calendar(Some(&weekdays), &arrived, Day(4), at(7, 8, 0));
    let standings: Vec<_> = days[3..].iter().map(|day| day.standing).collect();
    use Timeliness::{Landed, NotExpected, Overdue};
    assert_eq!(standings, [NotExpected, Landed, NotExpected, NotExpected, Overdue]);
}

#[test]
fn nothing_is_expected_before_the_first_arrival() {
    let first = at(2, 9, 0);
    let all = [arrival(first, 1)];
    let arrived = Arrivals { first, all: &all };
    let standings: Vec<_> =
        calendar(Some(&daily()), &arrived, Day(4), at(3, 6, 0)).into_iter().map(|day| day.standing).collect();
    use Timeliness::{Landed, NotExpected, NotYet};
    assert_eq!(standings, [NotExpected, NotExpected, Landed, NotYet]);
}

#[test]
fn a_day_has_the_state_of_its_worst_period() {
    let rhythm = DeliverySchedule::new(Every::Hours(6), Some("01:00"), 1, 0).unwrap();
    let all = [arrival(at(0, 0, 30), 1), arrival(at(0, 7, 30), 1)];
    assert_eq!(standings(&rhythm, &all, at(0, 11, 0)), [Timeliness::Late]);
    assert_eq!(standings(&rhythm, &all, at(0, 12, 30)), [Timeliness::Late], "the third period has time left");
    assert_eq!(standings(&rhythm, &all, at(0, 13, 0)), [Timeliness::Overdue]);
    assert_eq!(standings(&rhythm, &all, at(0, 18, 0)), [Timeliness::Missing]);
}

#[test]
fn a_schedule_parses_from_its_own_json() {
    let text = r#"{"every":"day","by":"07:00","files_min":10,"bytes_min":0}"#;
    let rhythm: DeliverySchedule = serde_json::from_str(text).unwrap();
    assert_eq!(rhythm, daily());
    assert_eq!(serde_json::to_string(&rhythm).unwrap(), text);
    let least: DeliverySchedule = serde_json::from_str(r#"{"every":"6h"}"#).unwrap();
    assert_eq!((least.by(), least.files_min()), ("06:00".to_owned(), 1));
    for wrong in [
        r#"{"every":"5h"}"#,
        r#"{"every":"day","by":"07:10"}"#,
        r#"{"every":"day","by":"24:15"}"#,
        r#"{"every":"day","by":"00:00"}"#,
        r#"{"every":"day","by":"7"}"#,
        r#"{"every":"day","by":"+7:00"}"#,
        r#"{"every":"6h","by":"06:15"}"#,
        r#"{"by":"07:00"}"#,
    ] {
        assert!(serde_json::from_str::<DeliverySchedule>(wrong).is_err(), "{wrong} was taken");
    }
}

fn any_rhythm() -> impl Strategy<Value = DeliverySchedule> {
    let every = prop::sample::select(Every::all().collect::<Vec<_>>());
    (every, 1_u16..=96, 0_u64..20, 0_u64..200).prop_map(|(every, quarters, files_min, bytes_min)| {
        let by_minutes = (quarters * 15).min(every.minutes());
        DeliverySchedule { every, by_minutes, files_min, bytes_min }
    })
}

fn any_arrivals() -> impl Strategy<Value = Vec<Arrival>> {
    prop::collection::btree_map(0_i64..96 * 12, 0_u64..15, 0..40).prop_map(|slots| {
        slots.into_iter().map(|(slot, files)| arrival(Timestamp(at(0, 0, 0).0 + slot * SLOT_MS), files)).collect()
    })
}

proptest! {
    /// Compares the state of a day with a count minute by minute.
    #[test]
    fn calendar_states_match_a_count_of_the_files(
        rhythm in any_rhythm(), all in any_arrivals(), now in 0_i64..12 * 24 * 60,
    ) {
        let now = Timestamp(at(0, 0, 0).0 + now * MINUTE_MS);
        for day in calendar(Some(&rhythm), &Arrivals { first: Timestamp(0), all: &all }, Day(4), now) {
            let of_day: Vec<_> = all.iter().filter(|arrival| Day::of(arrival.slot) == day.day).collect();
            prop_assert_eq!(day.files, of_day.iter().map(|arrival| arrival.files).sum::<u64>());
            let length = i64::from(rhythm.every.minutes()) * MINUTE_MS;
            let mut worst = None;
            let mut start = day.day.start().0;
            while start < day.day.start().0 + DAY_MS && start <= now.0 && rhythm.every.expects_on(day.day) {
                let deadline = start + i64::from(rhythm.by_minutes) * MINUTE_MS;
                let came = |until: i64| {
                    let came: Vec<_> = of_day.iter().filter(|arrival| (start..until).contains(&arrival.slot.0)).collect();
                    let (files, bytes) = (came.iter().map(|a| a.files).sum::<u64>(), came.iter().map(|a| a.bytes).sum::<u64>());
                    (came.len(), !came.is_empty() && files >= rhythm.files_min && bytes >= rhythm.bytes_min)
                };
                let standing = match (came(deadline), came(start + length)) {
                    ((_, true), _) => Timeliness::Landed,
                    (_, (_, true)) => Timeliness::Late,
                    _ if now.0 < deadline => Timeliness::NotYet,
                    _ if now.0 < start + length => Timeliness::Overdue,
                    (_, (0, _)) => Timeliness::Missing,
                    _ => Timeliness::Short,
                };
                worst = worst.max(Some(standing));
                start += length;
            }
            let came = if of_day.is_empty() { Timeliness::NotExpected } else { Timeliness::Landed };
            prop_assert_eq!(day.standing, worst.unwrap_or(came));
        }
    }

    #[test]
    fn more_arrivals_never_make_a_dataset_later(
        rhythm in any_rhythm(), all in any_arrivals(), more in 0_usize..40, now in 0_i64..12 * 24 * 60,
    ) {
        let now = Timestamp(at(0, 0, 0).0 + now * MINUTE_MS);
        let late = |all: &[Arrival]| rhythm.late_since(&Arrivals { first: Timestamp(0), all }, now);
        let mut richer = all.clone();
        if let Some(arrival) = richer.get_mut(more) {
            arrival.files += 100;
            arrival.bytes += 1000;
        }
        prop_assert!(late(&richer) <= late(&all));
        if let Some(since) = late(&all) {
            prop_assert!(since <= now);
        }
    }

    #[test]
    fn every_schedule_parses_from_its_own_json(rhythm in any_rhythm()) {
        let text = serde_json::to_string(&rhythm).unwrap();
        prop_assert_eq!(serde_json::from_str::<DeliverySchedule>(&text).unwrap(), rhythm);
    }
}

#[test]
fn a_schedule_is_a_sentence() {
    let written = |every, by, files, bytes| DeliverySchedule::new(every, by, files, bytes).unwrap().to_string();
    assert_eq!(written(Every::Day, Some("07:00"), 10, 0), "every day by 07:00 UTC, at least 10 files");
    assert_eq!(
        written(Every::Weekday, None, 1, 5_000_000),
        "Monday to Friday by midnight UTC, at least 1 file and 5.0 MB"
    );
    assert_eq!(written(Every::Hours(6), Some("01:30"), 1, 0), "every 6 hours within 01:30, at least 1 file");
}
