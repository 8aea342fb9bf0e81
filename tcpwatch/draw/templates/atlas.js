(function(){
'use strict';
var d=document;
d.documentElement.classList.add('js');
d.getElementById('filter').addEventListener('input',function(e){
var word=e.target.value.toLowerCase();
d.querySelectorAll('.overview tbody tr').forEach(function(row){
var hidden=row.textContent.toLowerCase().indexOf(word)<0;
row.hidden=hidden;
d.getElementById(row.querySelector('a').hash.slice(1)).hidden=hidden;
});
});
d.querySelectorAll('.copy').forEach(function(button){
button.addEventListener('click',function(){
getSelection().selectAllChildren(d.getElementById(button.dataset.of));
button.textContent=d.execCommand('copy')?button.dataset.copied:button.dataset.selected;
});
});
})();
