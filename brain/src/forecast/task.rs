//! Forecasts made beside the control loop, a minute's history at a time, and shown where people look.

use std::sync::Arc;

use arc_swap::ArcSwap;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use super::{Forecast, History, forecast};
use crate::metrics::Metrics;

/// Services that are told of at most, in order of load.
pub const MAX_SERVICES: usize = 512;

/// The newest forecasts, by service.
pub type Told = Arc<ArcSwap<Vec<Forecast>>>;

/// Fits and publishes until `stop` is cancelled or nobody sends histories any more.
pub async fn run(
    mut histories: mpsc::Receiver<Vec<History>>,
    told: Told,
    metrics: Metrics,
    stop: CancellationToken,
) {
    while let Some(Some(histories)) = stop.run_until_cancelled(histories.recv()).await {
        // A fit computes for milliseconds: not on the threads that answer people.
        let fitted = tokio::task::spawn_blocking(move || fit(histories)).await;
        match fitted {
            Ok(forecasts) => {
                metrics.show_forecasts(&forecasts);
                told.store(Arc::new(forecasts));
            }
            Err(why) => tracing::warn!("the load to come could not be told: {why}"),
        }
    }
}

fn fit(mut histories: Vec<History>) -> Vec<Forecast> {
    let now = |history: &History| history.rates.last().copied().unwrap_or(0.0);
    histories.sort_by(|a, b| now(b).total_cmp(&now(a)));
    histories.truncate(MAX_SERVICES);
    let mut forecasts: Vec<Forecast> = histories.iter().filter_map(forecast).collect();
    forecasts.sort_by(|a, b| a.service.cmp(&b.service));
    forecasts
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::HORIZON;
    use super::*;

    fn history(service: &str, rate: f64) -> History {
        let rates = (0..40).map(|n| rate * (1.0 + 0.05 * f64::from(n % 5))).collect();
        History { service: service.into(), end_s: 2_400, rates, season: vec![0.0; 40 + HORIZON] }
    }

    #[tokio::test]
    async fn what_is_sent_is_told_in_the_api_and_in_the_metrics() {
        let (send, receive) = mpsc::channel(1);
        let (told, metrics, stop) = (Told::default(), Metrics::new().unwrap(), CancellationToken::new());
        let task = tokio::spawn(run(receive, Arc::clone(&told), metrics.clone(), stop));
        send.send(vec![history("web", 20.0), history("cart", 100.0), history("new", 0.0)]).await.unwrap();
        drop(send);
        task.await.unwrap();
        let names: Vec<String> = told.load().iter().map(|f| f.service.clone()).collect();
        assert_eq!(names, ["cart", "new", "web"]);
        let text = metrics.text().unwrap();
        let line = |bound: &str| {
            format!("lightsout_forecast_requests_per_second{{bound=\"{bound}\",service=\"cart\"}} 1")
        };
        for bound in ["expected", "high"] {
            assert!(text.contains(&line(bound)), "{text}");
        }
        metrics.show_forecasts(&[]);
        assert!(!metrics.text().unwrap().contains("cart"), "a service that is gone is told of no more");
    }
}
