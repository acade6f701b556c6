//! Expiry of certificates.

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use crate::core::time::Timestamp;

const DAY: u64 = 86_400;

/// Remaining validity of a certificate, in whole days.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Over,
    /// Less than a given number of days.
    Old(u64),
    Good(u64),
}

impl Age {
    /// For one that expires at `end`; it is old with less than `soon` days left.
    pub(super) fn of(end: Timestamp, now: Timestamp, soon: u64) -> Self {
        match end.since(now).as_secs() / DAY {
            _ if end <= now => Self::Over,
            days if days < soon => Self::Old(days),
            days => Self::Good(days),
        }
    }
}

/// When the first of the certificates in `pem` expires; `None` if there is none, or an unreadable one.
pub(super) fn end_of_pem(pem: &[u8]) -> Option<Timestamp> {
    let ends = CertificateDer::pem_slice_iter(pem).map(|der| end_of(&der.ok()?));
    ends.collect::<Option<Vec<_>>>()?.into_iter().min()
}

/// When a certificate expires; `None` if it is unreadable.
pub(super) fn end_of(der: &[u8]) -> Option<Timestamp> {
    let end = Certificate::from_der(der).ok()?.tbs_certificate().validity().not_after.to_unix_duration();
    Some(Timestamp::from_millis(u64::try_from(end.as_millis()).ok()?))
}
