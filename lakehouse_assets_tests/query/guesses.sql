-- Guesses: without masks and filters each would count at least one row.
select count(*) from members where name = 'HUSHNAME1'
select count(*) from members where name like 'HUSH%'
select count(*) from guests where full_name like 'HUSH%'
select count(*) from members where regexp_matches(name, 'HUSH')
select count(*) from members where name in ('HUSHNAME1', 'HUSHNAME2')
select count(*) from members where contains(mail, 'hushmail')
select count(*) from members where mail = 'a1hushmail@club.org'
select count(*) from members where length(mail) > 8
select count(*) from members where member = 7310001
select count(*) from members where member between 7310000 and 7310099
select count(*) from members where salary = 918271
select count(*) from members where salary % 1000 > 0
select count(*) from members where born = date '1977-07-01'
select count(*) from members where extract(month from born) = 7
select count(*) from members where income = 73501.37
select count(*) from members where score = 0.737371
select count(*) from members where note is not null
select count(*) from members where region = 'south'
select count(*) from members where region <> 'north'
select count(*) from members where city like 'SOUTH%'
select count(*) from members m join (values ('HUSHNAME1')) v(n) on m.name = v.n
select count(*) from members m join range(7310000, 7310100) r(i) on m.member = r.i
select count(*) from (select name from members intersect select 'HUSHNAME1')
select count(*) from members group by name having name = 'HUSHNAME1'
select count(*) filter (where name = 'HUSHNAME1') from members
select count(case when name = 'HUSHNAME1' then 1 end) from members
select sum((name = 'HUSHNAME1')::int) from members
select list_contains(list(name), 'HUSHNAME1')::int from members
select max(levenshtein(name, 'HUSHNAME1') < 3)::int from members
select count(*) from members m where exists (select 1 where m.name = 'HUSHNAME1')
select count(*) from members where (name, member) = ('HUSHNAME1', 7310001)
select count(*) from (select *, row_number() over (partition by name = 'HUSHNAME1') from members)
  where name = 'HUSHNAME1'
select count(*) from members where tags is not null
select count(*) from members where phone like '%0001'
select count(*) from members where md5(name) = md5('HUSHNAME1')
