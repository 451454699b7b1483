-- Read at most what the role may read; whatever they return or say holds no secret. One statement
-- a line; an indented line continues the one before it.
select * from members
from members
table members
select members from members
select m from members m
select to_json(m) from members m
select row(m.*) from members m
select {'a': m} from members m
select m.name, m.mail, m.note from members as m
select club.members.name from club.members
select "NAME" from "MEMBERS"
select name from CLUB."Members"
select name/**/from/**/members
select name -- all
from members -- where
select columns('.*') from members
select columns(c -> c like 'n%') from members
select columns(*)::varchar from members
select * exclude (age) from members
select * replace (name || '' as name) from members
select * rename (name as n) from members
select * like 'n%' from members
select name as age, age as name from members
select a, b, c, d from members t(a, b, c, d, e, f, g, h, i, j, k, l)
select #1, #2, #3, #4 from members
with members as (select * from club.members) select * from members
with x as (select * from members) select * from x
with x as materialized (from members) select y.name from x y
with payroll as (select name from members) select * from payroll
with members as (select * from payroll) select * from members
with payroll as (select * from payroll) select * from payroll
with recursive payroll as (from payroll union from payroll) select * from payroll
with recursive r as (select name from members union select r.name from r) select * from r
with recursive r(n) as (select max(name) from members union all select m.name from members m, r
  where m.name > r.n) select * from r
with "banKing" as (select 1 as pay) select * from banking
with "BANKING" as (select 1 as pay) select * from banking, club.banking
with payroll as (select 1 as pay) select * from club.payroll
with payroll as (select 1 as pay) select * from payroll,
  (with x as (select 1) select * from club.payroll)
select * from (with payroll as (select 1 as pay) select * from payroll), payroll
select full_name, "FULL_NAME", guests.full_name from guests
select max(full_name) from club.guests g
select * from payroll
select * from club.payroll
select * from memory.club.payroll
select * from main.payroll
select * from "club.payroll"
select * from "payroll"
select * from PAYROLL
select * from club/**/.payroll
select * from members, payroll
select * from members join payroll on true
select * from members m, lateral (select * from payroll) p
select * from members m, lateral (select m.name) p(q)
select (select max(pay) from payroll)
select (select max(pay) from payroll p where p.member = m.member) from members m
select name from members where member in (select member from payroll)
select name from members where exists (from payroll)
select 1 union all select pay from payroll
select name from members union by name select pay as name from payroll
select 1 except select pay from payroll
select 1 intersect select pay from payroll
values ((select max(pay) from payroll))
select case when (select count(*) from payroll) > 0 then 1 end
select name from members order by (select pay from payroll limit 1)
select name from members limit (select count(*) from payroll)
select name from members qualify row_number() over (order by (select pay from payroll limit 1)) = 1
select count(*) filter (where (select true from payroll limit 1)) from members
select * from members_all
select * from mine.names
select * from mine.names, mine.pay
select * from mine.twice
with names as (from payroll) select * from mine.names, names
select * from landing.members
select * from club.members@v0
select * from members at (version => 0)
select * from members at (timestamp => now())
select * from members as of version 0
select * from members tablesample 100%
select * from members tablesample reservoir(100 rows)
select * from members natural join members m2
select * from members m asof join members n on m.age >= n.age
select * from members positional join members m2
select m.* from members m semi join members n using (name)
select name from members group by name having count(*) > 0
select name, count(*) from members group by cube (name, mail)
select any_value(name), first(name), last(name), min(name), max(name), mode(name) from members
select arg_max(name, salary), arg_min(mail, salary), max_by(note, salary) from members
select string_agg(name, ','), list(name), array_agg(mail), histogram(name) from members
select list_transform(list(name), lambda n: n || 'x') from members
select [n for n in list(name)] from members
select approx_top_k(name, 9), reservoir_quantile(salary, 0.5) from members
select quantile_disc(salary, [0.1, 0.5, 0.9]), median(salary), mad(salary) from members
select sum(salary), avg(salary), stddev(salary), min(salary), max(salary) from members
select lag(name) over (order by salary), lead(mail) over (order by salary) from members
select first_value(name) over w from members window w as (order by salary)
select name, rank() over (order by salary) from members
pivot members on region using max(name)
pivot members on name in ('HUSHNAME1', 'HUSHNAME2') using sum(salary)
pivot members on region in ('north', 'south') using max(city)
select * from (pivot members on region in ('south') using max(city))
unpivot members on name, mail into name k value v
select * from members unpivot (v for k in (name, mail, note))
summarize members
summarize select name, mail, salary from members
describe members
describe select * from members
select * from (summarize payroll)
select * from (describe payroll)
summarize payroll
show members
show tables
show all tables
show databases
explain select * from members
explain analyze select * from members
select name::int from members
select cast(mail as date) from members
select cast(name as boolean) from members
select city::int from members
select try_cast(name as int) from members
select 1 / (case when name like 'HUSH%' then 0 else 1 end) from members
select error(name) from members
select error(city) from members
select strptime(name, '%Y') from members
select name::decimal(3,1) from members
select salary::tinyint from members
select (salary * 9223372036854775807) from members
select born::int from members
select json_extract(name, '$.a') from members
select name::json from members
select city::json from members
select list_extract(name, 'x') from members
select regexp_extract(name, name || '(') from members
select make_date(salary, 1, 1) from members
select chr(salary) from members
select repeat(name, 2) from members
select printf('%s %s', name, mail) from members
select format('{} {}', name, mail) from members
select concat_ws(' ', name, mail, note), name || mail from members
select md5(name), sha256(name), hash(name), name from members
select encode(name), to_base64(name::blob), hex(name) from members
select reverse(name), upper(name), substring(name, 1, 4), left(mail, 9) from members
select regexp_replace(name, '(.*)', '\1\1') from members
select ascii(name), unicode(name), ord(name), strip_accents(name) from members
select unnest(string_split(name, '')) from members
select count(*) from members where city::int > 0
select count(*) from members where region = 'south' and city::int > 0
select city from members where region = 'south'
select city from members where region <> 'north' or true
select city from members where not (region = 'north')
select m.city from members m full join members n on m.member = n.member and n.region = 'south'
select * from members where true or region = 'south'
select * from members cross join (values (1)) v
select name from members where name = any (select name from members)
select * from query('select * from payroll')
select * from query('from club.' || 'payroll')
from query_table('payroll')
from query_table(['payroll', 'members'])
select * from duckdb_tables()
select * from duckdb_views()
select sql from duckdb_views()
select * from duckdb_columns()
select * from duckdb_functions() where macro_definition is not null
select * from duckdb_settings()
select * from duckdb_secrets()
select * from duckdb_variables()
select * from duckdb_databases()
select * from duckdb_logs()
select * from duckdb_prepared_statements()
select * from duckdb_temporary_files()
select * from information_schema.tables
select * from information_schema.columns
select * from pg_catalog.pg_class
select * from pg_views
select * from sqlite_master
pragma database_list
pragma table_info('members')
pragma storage_info('members')
call pragma_database_size()
select current_setting('memory_limit')
select current_setting('s3_secret_access_key')
select getenv('HOSTILE_SECRET')
select getvariable('key')
select current_query()
set variable x = (select max(name) from members)
set threads = 1
reset all
select masked_digest('HUSHNAME1')
select main.masked_digest(1)
select "masked_digest"(name) from members
select * from '{folder}/secret.csv'
select * from "{folder}/secret.csv"
select * from read_csv('{folder}/secret.csv')
select * from read_csv_auto('{folder}/*.csv')
select content from read_text('{folder}/secret.csv')
select * from read_blob('{folder}/secret.csv')
select * from read_json('{folder}/secret.csv')
select * from read_parquet('{folder}/lake/club/members/**/*.parquet')
select * from parquet_metadata('{folder}/lake/club/members/**/*.parquet')
select * from '{folder}/lake/club/members/*/*.parquet'
select * from glob('{folder}/**')
select * from sniff_csv('{folder}/secret.csv')
select * from delta_scan('{folder}/lake/club/members')
select * from delta_scan('{folder}/lake/club/payroll')
select * from parquet_scan('{folder}/lake/club/payroll/*.parquet')
copy members to '{folder}/out.csv'
copy (select * from members) to '{folder}/out.parquet'
export database '{folder}/out'
attach '{folder}/out.db'
install httpfs
load delta
create table t as select * from members
create view members as select 1
create macro m() as (select max(pay) from payroll)
insert into members select * from members
delete from members
update members set name = 'x'
drop view members
prepare p as select * from payroll
execute p
select 1; select * from payroll
select 1; drop view members
begin
checkpoint
vacuum
use memory
select * from secret_frame
select * from python_map_function()
select * from pandas_scan(1)
select * from arrow_scan(1, 2, 3)
select * from seq_scan('members')
select * from json_execute_serialized_sql('x')
select json_serialize_plan('select * from payroll')
select nextval('s')
select sleep_ms(1)
select write_log('x')
select * from range(3) t(i), members
select * from unnest([1]), payroll
select * from generate_series(1, (select count(*) from payroll))
select * from histogram(payroll, pay)
select * from members where member = 7310001 or 1 = 1
select member::varchar, cast(member as text) from members
select min(born), max(born), born from members
select strftime(born, '%Y-%m-%d') from members
select date_diff('day', date '1977-07-07', born) from members
select salary % 1000, salary - (salary // 1000) * 1000 from members
select income, floor(income), round(income, 2), income::varchar from members
select score, score::varchar, round(score, 6) from members
select phone, right(phone, 4), length(phone) from members
select note, coalesce(note, name, mail) from members
select "note" is not null, note = note from members
select tags, unnest(tags) from members
select array_to_string(tags, ','), tags[1] from members
