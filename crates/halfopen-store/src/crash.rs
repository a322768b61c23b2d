//! Moments at which a test ends the process, as a power cut would: between any two steps that
//! must survive it.

/// A moment between two steps.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum CrashPoint {
    /// The log is durable; nobody has been told.
    WalDurable,
    /// Segments of a seal are durable; the catalogue does not name them.
    SealWritten,
    /// The catalogue names them; the log still holds their rows.
    SealCommitted,
    /// The log is cut.
    SealCut,
    /// The catalogue expects merged segments; no file is there.
    CompactReserved,
    /// A merged segment is written in part.
    CompactHalf,
    /// Merged segments are durable; the catalogue does not name them.
    CompactWritten,
    /// The catalogue names them in the place of what they were made of.
    CompactCommitted,
    /// The catalogue has let segments go by their age or size.
    RetentionCommitted,
    /// A file is deleted; the catalogue still remembers it.
    FileDeleted,
    /// The catalogue has its new form; the folder says the old format.
    UpgradeHalf,
}

impl CrashPoint {
    /// All of them.
    pub const ALL: [CrashPoint; 11] = [
        CrashPoint::WalDurable,
        CrashPoint::SealWritten,
        CrashPoint::SealCommitted,
        CrashPoint::SealCut,
        CrashPoint::CompactReserved,
        CrashPoint::CompactHalf,
        CrashPoint::CompactWritten,
        CrashPoint::CompactCommitted,
        CrashPoint::RetentionCommitted,
        CrashPoint::FileDeleted,
        CrashPoint::UpgradeHalf,
    ];
}

/// Where this process is to end; nowhere, outside tests.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Crash(pub(crate) Option<CrashPoint>);

impl Crash {
    /// Ends the process when this is the moment.
    pub(crate) fn at(self, point: CrashPoint) {
        if self.0 == Some(point) {
            std::process::abort();
        }
    }
}
