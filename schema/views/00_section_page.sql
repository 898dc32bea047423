-- section_page(page): 1 for an address that people open as a place (front
-- page, section), 0 for an article: path `/`, or ending in `/`, or of one
-- segment. `page` is as stored: an absolute address without fragment.
create or replace function section_page {{on_cluster}} as (page) -> match(path(page), '^(/[^/]*|.*/)?$');
