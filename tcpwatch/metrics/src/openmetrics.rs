//! Writes metrics in the text format `OpenMetrics` 1.0.0: as Prometheus' own, but that counters and histograms have the
//! time of their creation, units are named, and a page has an end.

use std::fmt::{self, Write};

use prometheus::proto::{LabelPair, Metric, MetricFamily, MetricType};

/// The suffix of a counter's samples, which its family's name is without.
const TOTAL: &str = "_total";
/// Suffixes of names that are units.
const UNITS: [&str; 2] = ["seconds", "bytes"];
/// The last line of a page.
pub(crate) const END: &str = "# EOF\n";

/// Adds a family to a page. `created` is when its counters and histograms were 0, as Unix time.
pub(crate) fn write(page: &mut String, family: &MetricFamily, created: Option<f64>) -> fmt::Result {
    let (kind, name) = match family.get_field_type() {
        MetricType::COUNTER => {
            ("counter", family.name().strip_suffix(TOTAL).unwrap_or(family.name()))
        }
        MetricType::HISTOGRAM => ("histogram", family.name()),
        _ => ("gauge", family.name()),
    };
    writeln!(page, "# TYPE {name} {kind}")?;
    let ends_with =
        |unit: &&&str| name.strip_suffix(**unit).is_some_and(|rest| rest.ends_with('_'));
    if let Some(unit) = UNITS.iter().find(ends_with) {
        writeln!(page, "# UNIT {name} {unit}")?;
    }
    writeln!(page, "# HELP {name} {}", Escaped(family.help()))?;
    for metric in family.get_metric() {
        let mut sample = |suffix: &str, more: Option<(&str, &str)>, value: f64| -> fmt::Result {
            write!(page, "{name}{suffix}")?;
            labels(page, metric.get_label(), more)?;
            writeln!(page, " {}", Number(value))
        };
        let mut has_creation = true;
        match family.get_field_type() {
            MetricType::COUNTER => sample(TOTAL, None, metric.get_counter().get_value())?,
            MetricType::HISTOGRAM => histogram(metric, &mut sample)?,
            _ => {
                has_creation = false;
                sample("", None, metric.get_gauge().get_value())?;
            }
        }
        if let Some(created) = created.filter(|_| has_creation) {
            sample("_created", None, created)?;
        }
    }
    Ok(())
}

fn histogram(
    metric: &Metric,
    sample: &mut impl FnMut(&str, Option<(&str, &str)>, f64) -> fmt::Result,
) -> fmt::Result {
    let histogram = metric.get_histogram();
    let count = float(histogram.get_sample_count());
    for bucket in histogram.get_bucket() {
        let bound = Bound(bucket.upper_bound()).to_string();
        sample("_bucket", Some(("le", &bound)), float(bucket.cumulative_count()))?;
    }
    sample("_bucket", Some(("le", "+Inf")), count)?;
    sample("_sum", None, histogram.get_sample_sum())?;
    sample("_count", None, count)
}

#[expect(clippy::cast_precision_loss, clippy::as_conversions, reason = "exact up to 2^53")]
const fn float(count: u64) -> f64 {
    count as f64
}

fn labels(page: &mut String, pairs: &[LabelPair], more: Option<(&str, &str)>) -> fmt::Result {
    let pairs = pairs.iter().map(|pair| (pair.name(), pair.value())).chain(more);
    let mut before = '{';
    for (name, value) in pairs {
        write!(page, "{before}{name}=\"{}\"", Escaped(value))?;
        before = ',';
    }
    if before == ',' { page.write_char('}') } else { Ok(()) }
}

/// A text with what the format gives a meaning to escaped.
struct Escaped<'a>(&'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            match character {
                '\\' => f.write_str("\\\\")?,
                '"' => f.write_str("\\\"")?,
                '\n' => f.write_str("\\n")?,
                other => f.write_char(other)?,
            }
        }
        Ok(())
    }
}

/// A value.
struct Number(f64);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            value if value.is_nan() => f.write_str("NaN"),
            f64::INFINITY => f.write_str("+Inf"),
            f64::NEG_INFINITY => f.write_str("-Inf"),
            value => write!(f, "{value}"),
        }
    }
}

/// The bound of a bucket: always with a decimal point or an exponent, so that it is the same label wherever it comes
/// from, as Go writes it (`%g`).
struct Bound(f64);

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let small = self.0 != 0.0 && self.0.abs() < 1e-4;
        match format!("{:e}", self.0).split_once("e-") {
            Some((digits, exponent)) if small => write!(f, "{digits}e-{exponent:0>2}"),
            _ => write!(f, "{:?}", self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::family::ScrapeFamily;

    fn text(family: ScrapeFamily, created: Option<f64>) -> String {
        let mut page = String::new();
        write(&mut page, &family.finish().unwrap(), created).unwrap();
        page
    }

    #[test]
    fn a_counter_has_its_creation_and_a_name_without_total() {
        let family = ScrapeFamily::counter("tcpwatch_x_seconds_total", "How \"long\"\\\n.")
            .with(&[("a", "b\"\\\n"), ("c", "d")], 3.5)
            .with(&[], 4.0);
        assert_eq!(
            text(family, Some(1_795_554_450.25)),
            concat!(
                "# TYPE tcpwatch_x_seconds counter\n# UNIT tcpwatch_x_seconds seconds\n",
                "# HELP tcpwatch_x_seconds How \\\"long\\\"\\\\\\n.\n",
                "tcpwatch_x_seconds_total{a=\"b\\\"\\\\\\n\",c=\"d\"} 3.5\n",
                "tcpwatch_x_seconds_created{a=\"b\\\"\\\\\\n\",c=\"d\"} 1795554450.25\n",
                "tcpwatch_x_seconds_total 4\ntcpwatch_x_seconds_created 1795554450.25\n",
            )
        );
    }

    #[test]
    fn a_counter_that_is_older_than_this_process_has_no_creation() {
        let family = ScrapeFamily::counter("tcpwatch_x_total", "How many.").with(&[], 4.0);
        let expected =
            "# TYPE tcpwatch_x counter\n# HELP tcpwatch_x How many.\ntcpwatch_x_total 4\n";
        assert_eq!(text(family, None), expected);
    }

    #[test]
    fn a_gauge_is_as_it_is() {
        let family = ScrapeFamily::gauge("tcpwatch_x", "How many.").with(&[], f64::INFINITY);
        let expected = "# TYPE tcpwatch_x gauge\n# HELP tcpwatch_x How many.\ntcpwatch_x +Inf\n";
        assert_eq!(text(family, Some(1.0)), expected);
    }

    #[test]
    fn the_bounds_of_a_histogram_are_numbers_with_a_point() {
        let mut family = ScrapeFamily::histogram("tcpwatch_x_seconds", "How long.");
        family.add_histogram(&[("a", "b")], &[0.000_01, 0.5, 1.0, 7200.0], &[1, 2, 4, 0], 30.5);
        assert_eq!(
            text(family, Some(7.5)),
            "# TYPE tcpwatch_x_seconds histogram\n# UNIT tcpwatch_x_seconds seconds\n\
             # HELP tcpwatch_x_seconds How long.\n\
             tcpwatch_x_seconds_bucket{a=\"b\",le=\"1e-05\"} 1\n\
             tcpwatch_x_seconds_bucket{a=\"b\",le=\"0.5\"} 3\n\
             tcpwatch_x_seconds_bucket{a=\"b\",le=\"1.0\"} 7\n\
             tcpwatch_x_seconds_bucket{a=\"b\",le=\"7200.0\"} 7\n\
             tcpwatch_x_seconds_bucket{a=\"b\",le=\"+Inf\"} 7\n\
             tcpwatch_x_seconds_sum{a=\"b\"} 30.5\ntcpwatch_x_seconds_count{a=\"b\"} 7\n\
             tcpwatch_x_seconds_created{a=\"b\"} 7.5\n"
        );
    }
}
