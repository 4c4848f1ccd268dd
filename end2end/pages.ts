// All pages, for checks that visit every one. Pages of a single item use the data of `fill`.

export const EMPTY_PAGES = [
  ['Overview', '/'],
  ['Syncs', '/syncs'],
  ['Datasets', '/datasets'],
  ['Upload files', '/upload'],
  ['Lake', '/lake'],
  ['Uploads', '/history'],
  ['Trash', '/trash'],
  ['Activity', '/activity'],
  ['Keys', '/keys'],
  ['Sign in', '/sign-in'],
  ['Search', '/search'],
] as const;

export const FULL_PAGES = [
  ...EMPTY_PAGES,
  ['Running sync', '/syncs/10'],
  ['Finished sync', '/syncs/6'],
  ['Aborted sync', '/syncs/9'],
  ['Dataset', '/datasets/data/db/orders'],
  ['Versions', '/datasets/data/db/orders?tab=versions'],
  ['Compared versions', '/datasets/data/db/orders?tab=versions&old=1&new=2'],
  ['Version', '/versions/data/db/orders?version=1'],
  ['Restore of a version', '/restore/data/db/orders?version=1'],
  ['Restore from the trash', '/trash/restore?trash_id=1'],
  ['Folder', '/lake/data/db/orders'],
  ['File', '/lake/data/db/orders/part-0.csv'],
  ['Schema of a file', '/lake/data/db/orders/part-0.csv?tab=schema'],
  ['Use of a file', '/lake/data/db/orders/part-0.csv?tab=use'],
  ['Trash of a sync', '/trash/syncs/2'],
  ['Item of the trash', '/trash/pieces/1'],
  ['Failed uploads', '/history?status=Failed'],
  ['Found', '/search?q=orders'],
  ['Found nothing', '/search?q=nothing-has-this-name'],
  ['Nothing found', '/syncs?q=nothing-has-this-name'],
] as const;

export const THEMES = ['light', 'dark'] as const;
export type Theme = (typeof THEMES)[number];
