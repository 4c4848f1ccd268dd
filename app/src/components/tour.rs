//! First steps by curl, with this server's address, for empty lists.

use crate::components::copy::Command;
use crate::routes;
use crate::snippet::upload_command;
use leptos::prelude::*;

#[component]
pub fn Tour(origin: String) -> impl IntoView {
    let start = format!(
        "curl --fail --request POST \\\n  --url {origin}/api/ingestion/file/sync/start \\\n  --header 'Content-Type: application/json' \\\n  --data '{{\"name\": \"first sync\", \"path\": \"/data/db/transactions\", \"api_key\": \"'$KEY'\", \"sync_type\": \"FullSync\"}}'"
    );
    let upload = upload_command(&origin, "1", "sales.parquet", true);
    let end = format!(
        "curl --fail --request POST \\\n  --url {origin}/api/ingestion/file/sync/end \\\n  --header 'Content-Type: application/json' \\\n  --data '{{\"sync_id\": 1, \"api_key\": \"'$KEY'\"}}'"
    );
    view! {
        <section class="empty tour">
            <h2>"No syncs yet"</h2>
            <p>
                "A sync uploads files to one path of the lake: start it, send files, end it. A full sync then replaces the dataset all at once; an incremental sync adds file by file. Readers never see half a file."
            </p>
            <p>
                <a class="button button-primary" href=routes::UPLOAD>
                    "Upload in the browser"
                </a>
            </p>
            <h3>"Or use curl"</h3>
            <ol>
                <li>
                    <p>
                        "Create a key, on the server or on the " <a href=routes::KEYS>"Keys"</a>
                        " page, then start a sync. The response has its " <code>"sync_id"</code> "."
                    </p>
                    <Command
                        text="KEY=$(lakeshore key create --name first --role write --data-dir ./data)"
                        label="Copy command: create a key"
                    />
                    <Command text=start label="Copy command: start a sync"/>
                </li>
                <li>
                    <p>"Send any number of files, also in parallel."</p>
                    <Command text=upload label="Copy command: upload a file"/>
                </li>
                <li>
                    <p>"End the sync. Readers now see the files."</p>
                    <Command text=end label="Copy command: end the sync"/>
                </li>
            </ol>
        </section>
    }
    .into_any()
}
