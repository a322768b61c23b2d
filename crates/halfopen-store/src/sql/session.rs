pub(crate) struct Base;
