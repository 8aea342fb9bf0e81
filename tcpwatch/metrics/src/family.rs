//! One metric with all its series, built for each scrape, so that no stale series stays.

use prometheus::proto::{
    Bucket, Counter, Gauge, Histogram, LabelPair, Metric, MetricFamily, MetricType,
};

/// A label's name and value.
pub type Label<'a> = (&'a str, &'a str);

/// A metric family under construction.
#[derive(Clone, Debug)]
pub struct ScrapeFamily {
    proto: MetricFamily,
    series: Vec<Metric>,
    is_older: bool,
}

impl ScrapeFamily {
    /// A counter; its name ends in `_total`.
    #[must_use]
    pub fn counter(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::COUNTER)
    }

    /// A counter that was not 0 when this process began: another one counts.
    #[must_use]
    pub fn older_counter(name: &str, help: &str) -> Self {
        Self { is_older: true, ..Self::counter(name, help) }
    }

    /// Whether its counters were not 0 when this process began.
    #[must_use]
    pub const fn is_older(&self) -> bool {
        self.is_older
    }

    /// A gauge.
    #[must_use]
    pub fn gauge(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::GAUGE)
    }

    /// A histogram.
    #[must_use]
    pub fn histogram(name: &str, help: &str) -> Self {
        Self::new(name, help, MetricType::HISTOGRAM)
    }

    fn new(name: &str, help: &str, kind: MetricType) -> Self {
        let mut proto = MetricFamily::default();
        proto.set_name(name.to_owned());
        proto.set_help(help.to_owned());
        proto.set_field_type(kind);
        Self { proto, series: Vec::new(), is_older: false }
    }

    /// Adds a series of a counter or gauge.
    pub fn add(&mut self, labels: &[Label<'_>], value: f64) {
        let mut metric = labeled(labels);
        if self.proto.get_field_type() == MetricType::COUNTER {
            let mut counter = Counter::default();
            counter.set_value(value);
            metric.set_counter(counter);
        } else {
            let mut gauge = Gauge::default();
            gauge.set_value(value);
            metric.set_gauge(gauge);
        }
        self.series.push(metric);
    }

    /// The same, returning the family.
    #[must_use]
    pub fn with(mut self, labels: &[Label<'_>], value: f64) -> Self {
        self.add(labels, value);
        self
    }

    /// Adds a series of a histogram: the number of observations in each bucket (not cumulative), with the last count
    /// for those above all `bounds`, and the sum of all observations.
    pub fn add_histogram(
        &mut self,
        labels: &[Label<'_>],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut total = 0;
        let mut buckets = Vec::with_capacity(bounds.len());
        for (bound, count) in bounds.iter().zip(counts) {
            total += count;
            let mut bucket = Bucket::default();
            bucket.set_upper_bound(*bound);
            bucket.set_cumulative_count(total);
            buckets.push(bucket);
        }
        total += counts.get(bounds.len()).copied().unwrap_or(0);
        let mut histogram = Histogram::default();
        histogram.set_bucket(buckets);
        histogram.set_sample_count(total);
        histogram.set_sample_sum(sum);
        let mut metric = labeled(labels);
        metric.set_histogram(histogram);
        self.series.push(metric);
    }

    /// The finished family; `None` without any series, because the text format has no empty families.
    #[must_use]
    pub fn finish(mut self) -> Option<MetricFamily> {
        if self.series.is_empty() {
            return None;
        }
        self.proto.set_metric(self.series);
        Some(self.proto)
    }
}

fn labeled(labels: &[Label<'_>]) -> Metric {
    let pair = |(name, value): &Label<'_>| {
        let mut pair = LabelPair::default();
        pair.set_name((*name).to_owned());
        pair.set_value((*value).to_owned());
        pair
    };
    Metric::from_label(labels.iter().map(pair).collect())
}

#[cfg(test)]
mod tests {
    use prometheus::TextEncoder;

    use super::*;

    fn text(family: ScrapeFamily) -> String {
        TextEncoder::new().encode_to_string(&[family.finish().unwrap()]).unwrap()
    }

    #[test]
    fn a_counter_has_a_series_per_set_of_labels() {
        let family = ScrapeFamily::counter("tcpwatch_x_total", "How many.")
            .with(&[("from", "closed"), ("to", "listen")], 3.0)
            .with(&[("from", "listen"), ("to", "closed")], 0.0);
        assert_eq!(
            text(family),
            "# HELP tcpwatch_x_total How many.\n# TYPE tcpwatch_x_total counter\n\
             tcpwatch_x_total{from=\"closed\",to=\"listen\"} 3\n\
             tcpwatch_x_total{from=\"listen\",to=\"closed\"} 0\n"
        );
    }

    #[test]
    fn a_histogram_is_cumulative_and_counts_what_is_above_all_bounds() {
        let mut family = ScrapeFamily::histogram("tcpwatch_x_seconds", "How long.");
        family.add_histogram(&[], &[0.5, 1.0], &[1, 2, 4], 30.5);
        assert_eq!(
            text(family),
            "# HELP tcpwatch_x_seconds How long.\n# TYPE tcpwatch_x_seconds histogram\n\
             tcpwatch_x_seconds_bucket{le=\"0.5\"} 1\ntcpwatch_x_seconds_bucket{le=\"1\"} 3\n\
             tcpwatch_x_seconds_bucket{le=\"+Inf\"} 7\n\
             tcpwatch_x_seconds_sum 30.5\ntcpwatch_x_seconds_count 7\n"
        );
    }

    #[test]
    fn a_family_without_series_is_left_out() {
        assert!(ScrapeFamily::gauge("tcpwatch_x", "Nothing.").finish().is_none());
    }
}
