//! Histograms, rates and reports.
