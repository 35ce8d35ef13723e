//! Simulated drives, fault plans and reference models for tests
