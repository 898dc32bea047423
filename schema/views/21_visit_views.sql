-- visit_views: one row a page view: the columns of `page_views`, and `visit`
-- and `landing` of `visit_steps`.
create or replace view passalong.visit_views {{on_cluster}} as
select v.*, s.visit as visit, s.landing as landing
from passalong.page_views as v
inner any join passalong.visit_steps as s on s.site = v.site and s.view = v.view and s.member = v.member;
