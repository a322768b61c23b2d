//! Where the catalogue of a folder is: in `catalogue.sqlite`, or on a server, and then the file
//! `CATALOGUE` holds the id under which the server knows the folder.
//!
//! **Invariant:** `CATALOGUE` is written when everything is on the server, and before the file
//! that it replaces is put aside. A crash in between leaves the folder with one catalogue or the
//! other, and rows that nobody asks for on the server at worst.

use std::fs;

use super::fault::Fault;
use super::postgres::Server;
use super::statement::Statement;
use super::{Catalogue, Database, SET_NUMBER, TABLES, failed, rows, trying};
use crate::config::StoreConfig;
use crate::error::StoreError;
use crate::folder::{Folder, sync_folder};

const FILE: &str = "catalogue.sqlite";
const FILES: [&str; 3] = [FILE, "catalogue.sqlite-wal", "catalogue.sqlite-shm"];
/// A catalogue in a file, while it is made again.
const UNFINISHED: &str = "catalogue.new";
const PLACE: &str = "CATALOGUE";
const PLACE_WORDS: &str = "postgres ";

/// Opens the catalogue of a folder. Where it is open for reading and has none, there is none.
///
/// # Errors
/// When it cannot be used, or lies on a server and the settings do not say on which.
pub(crate) async fn open(
    folder: &Folder,
    config: &StoreConfig,
    read_only: bool,
) -> Result<Option<Catalogue>, StoreError> {
    let path = folder.path(FILE);
    let url = config.catalogue.url();
    match (id_of(folder)?, url, read_only) {
        (Some(id), Some(url), _) => {
            let opened = open_server(&id, url, read_only).await?;
            if !read_only && path.exists() {
                put_aside(folder)?;
            }
            Ok(Some(opened))
        }
        (Some(_), None, _) => Err(StoreError::CatalogueElsewhere { folder: folder.path("") }),
        (None, Some(url), false) => {
            let mut making = Making::on_server(&config.node, url).await?;
            if path.exists() {
                making.take_over(folder).await?;
            }
            making.finish(folder).await.map(Some)
        }
        (None, _, true) if !path.exists() => Ok(None),
        (None, _, true) => Catalogue::open_read_only(&path).await.map(Some),
        (None, None, false) => Catalogue::open(&path).await.map(Some),
    }
}

/// The tables as PostgreSQL says it.
fn tables_of_server() -> String {
    TABLES.replace("BLOB", "BYTEA")
}

async fn open_server(id: &str, url: &str, read_only: bool) -> Result<Catalogue, StoreError> {
    let mut server = Server::new(url, read_only)?;
    server.take(id).await.map_err(trying("open"))?;
    if !server.is_made().await.map_err(trying("open"))? {
        let reason = format!("it does not hold the catalogue of this data folder ({id})");
        let hint = "name the database that does in store.catalogue, or make the catalogue \
            again: halfopen store check --data DIR --rebuild";
        return Err(server.problem(reason, hint.to_owned(), None));
    }
    let mut catalogue = Catalogue { database: Database::Server(Box::new(server)) };
    if !read_only {
        catalogue.database.script(&tables_of_server()).await.map_err(trying("set up"))?;
        catalogue.upgraded().await?;
    }
    Ok(catalogue)
}

/// The id under which a server knows the folder; none where the catalogue is a file.
fn id_of(folder: &Folder) -> Result<Option<String>, StoreError> {
    let path = folder.path(PLACE);
    if !path.exists() {
        return Ok(None);
    }
    let text = fs::read_to_string(&path).map_err(StoreError::file("read", &path))?;
    let id = text.trim().strip_prefix(PLACE_WORDS).unwrap_or_default();
    match !id.is_empty() && id.chars().all(|c| c.is_ascii_alphanumeric()) {
        true => Ok(Some(id.to_owned())),
        false => {
            let reason = format!("its file {PLACE} says {:?}", text.trim());
            Err(StoreError::NotOurs { folder: folder.path(""), reason })
        }
    }
}

/// The file is kept, under a name that nothing opens.
fn put_aside(folder: &Folder) -> Result<(), StoreError> {
    for name in FILES.map(|name| folder.path(name)).iter().filter(|path| path.exists()) {
        folder.set_aside(name).map_err(StoreError::file("set aside", name))?;
    }
    Ok(())
}

/// A catalogue that becomes the one of its folder when it is whole.
pub(crate) struct Making {
    pub(crate) catalogue: Catalogue,
    /// Where it is on a server.
    id: Option<String>,
}

impl Making {
    /// Begins one where the settings want it.
    ///
    /// # Errors
    /// When it cannot be made there.
    pub(crate) async fn begin(folder: &Folder, config: &StoreConfig) -> Result<Making, StoreError> {
        if let Some(url) = config.catalogue.url() {
            return Making::on_server(&config.node, url).await;
        }
        put_aside(folder)?;
        let unfinished = folder.path(UNFINISHED);
        let _ = fs::remove_file(&unfinished);
        Ok(Making { catalogue: Catalogue::open(&unfinished).await?, id: None })
    }

    async fn on_server(node: &str, url: &str) -> Result<Making, StoreError> {
        let mut server = Server::new(url, false)?;
        let making = async {
            let id = server.new_id().await?;
            server.take(&id).await?;
            server.make(node, &tables_of_server()).await?;
            Ok::<_, Fault>(id)
        };
        let id = making.await.map_err(trying("make"))?;
        let mut catalogue = Catalogue { database: Database::Server(Box::new(server)) };
        catalogue.upgraded().await?;
        Ok(Making { catalogue, id: Some(id) })
    }

    /// Takes over what the file of the folder holds.
    async fn take_over(&mut self, folder: &Folder) -> Result<(), StoreError> {
        let mut file = Catalogue::open(&folder.path(FILE)).await?;
        let mut all = Vec::new();
        let ask = Statement::new("SELECT * FROM segments ORDER BY id");
        for row in file.database.rows(ask).await.map_err(trying("read"))? {
            all.push(rows::copy(&row).map_err(failed("read"))?);
        }
        let segments = all.len();
        let content = file.content().await?;
        for (table, cut) in halfopen_model::Table::ALL.into_iter().zip(content.cuts) {
            all.extend(cut.map(|cut| rows::set_cut(table, &cut)));
        }
        let numbers = [("wal_sealed", content.wal_sealed), ("snapshot", content.snapshot)];
        let set =
            numbers.map(|(name, value)| Statement::new(SET_NUMBER).text(name).int(value as i64));
        all.extend(set);
        self.catalogue.change("move", all).await?;
        file.close().await?;
        tracing::info!(segments, "catalogue was moved from its file to the server");
        Ok(())
    }

    /// From now on it is the catalogue of the folder.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) async fn finish(self, folder: &Folder) -> Result<Catalogue, StoreError> {
        let place = folder.path(PLACE);
        let Some(id) = self.id else {
            self.catalogue.close().await?;
            let path = folder.path(FILE);
            fs::rename(folder.path(UNFINISHED), &path).map_err(StoreError::file("name", &path))?;
            sync_folder(&folder.path(""))?;
            if place.exists() {
                folder.set_aside(&place).map_err(StoreError::file("set aside", &place))?;
            }
            return Catalogue::open(&path).await;
        };
        let words = format!("{PLACE_WORDS}{id}\n");
        crate::folder::write_whole(&place, words.as_bytes())
            .map_err(StoreError::file("write", &place))?;
        put_aside(folder)?;
        Ok(self.catalogue)
    }
}
